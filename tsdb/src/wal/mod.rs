//! The write-ahead log: what makes a commit outlive the process.
//!
//! A commit is one [`frame`] with one [`record`] in it, appended with one `write`. A background thread syncs
//! the file at least every second. Frames are numbered; a [`checkpoint`] says for each page of series up to
//! which frame it holds everything, and then the segments before the oldest such frame go.
//!
//! ```text
//! head/wal/NNNNNNNN     "FERULAWL" │ version u8 │ 7×0 │ frame*
//! head/checkpoint.NNNNNNNN            see `checkpoint`
//! head/followers                      see `followers`
//! ```
//!
//! After a crash the log ends with at most one torn frame per segment, which is cut off: it was never
//! acknowledged. Damage elsewhere is copied to `head/set-aside`, and the gap in the numbers tells how many
//! commits it cost.
//!
//! Others may [`follow`] the log. Segments that they aren't done with stay behind a checkpoint, up to a bound.

pub(crate) mod checkpoint;
mod follow;
pub(crate) mod followers;
pub(crate) mod frame;
pub(crate) mod histogram;
pub(crate) mod record;
pub(crate) mod replay;
pub(crate) mod segment;
