//! What the API shows but doesn't own, as traits that the program implements over its parts.
//!
//! Every method returns owned structs of this crate: a snapshot, taken under whatever lock the other side
//! needs, that can be written out at leisure. All methods may block; they are called on threads made for that.

mod rules;
mod status;
mod storage;
mod targets;

pub use rules::{
    ActiveAlert, AlertState, Alertmanagers, AlertsSource, Rule, RuleGroup, RuleHealth, RuleKind,
};
pub use status::{BuildInfo, ConfigSource, Lifecycle, RuntimeInfo, RuntimeSource};
pub use storage::{
    Cardinality, DamagedPlace, ExemplarSource, HeadStats, SeriesExemplars, StorageAdmin, StorageDamage,
    StorageStatus, WalReplay,
};
pub use targets::{ActiveTarget, DroppedTarget, RelabelStep, TargetHealth, TargetMetadata, TargetsSource};
