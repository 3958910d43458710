//! The receiver of OTLP, as a new configuration sees it.

use std::sync::Arc;

pub(super) use remote::otlp::Receiver;

use crate::config::Config;
use crate::reload::Part;

/// Receives as the configuration says; nothing if that isn't switched on.
#[derive(Debug)]
pub(super) struct Receiving(pub(super) Option<Arc<Receiver>>);

impl Part for Receiving {
    fn name(&self) -> &'static str {
        "otlp"
    }

    fn apply(&self, config: &Config) -> Result<(), String> {
        if let Some(receiver) = &self.0 {
            receiver.apply(config.otlp.clone());
        }
        Ok(())
    }
}
