//! Following what is stored: the second seam, for those who send commits on to other systems.
//!
//! A follower sees every commit in the order in which they were made, and says from time to time up to which of
//! them it is done; there it goes on after a restart. What it isn't done with is kept for it, within the bounds
//! of whoever keeps it.

use std::fmt::Debug;
use std::sync::atomic::AtomicBool;

use crate::exemplar::Exemplar;
use crate::labels::Labels;
use crate::storage::{HistogramValue, StorageError};
use crate::time::TimestampMs;

/// A series' number in the log. Another series may get it once [`LogCommit::gone`] has named it.
pub type LogSeries = u32;

/// A sample of a commit.
#[derive(Clone, Debug, PartialEq)]
pub struct LogSample<V> {
    /// The series.
    pub series: LogSeries,
    /// When.
    pub timestamp_ms: TimestampMs,
    /// What.
    pub value: V,
}

/// What one commit stored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogCommit {
    /// Its number: later commits have larger ones.
    pub number: u64,
    /// How many commits before it are missing, by damage or because they weren't kept any longer.
    pub lost: u64,
    /// Series that ended; their numbers may mean others from here on.
    pub gone: Vec<LogSeries>,
    /// Float samples; those of a series in order of time, unless they came out of order.
    pub floats: Vec<LogSample<f64>>,
    /// Histogram samples, likewise.
    pub histograms: Vec<LogSample<HistogramValue>>,
    /// Exemplars with the labels of their series.
    pub exemplars: Vec<(Labels, Exemplar)>,
}

impl LogCommit {
    /// Empties the commit and keeps its buffers.
    pub fn clear(&mut self) {
        self.lost = 0;
        self.gone.clear();
        self.floats.clear();
        self.histograms.clear();
        self.exemplars.clear();
    }
}

/// Gives its commits to followers.
pub trait Log: Debug + Send + Sync {
    /// Follows the log behind the last commit that a follower of this name confirmed; a new one begins with the
    /// next commit.
    ///
    /// # Errors
    ///
    /// There is no log yet, or it can't be read.
    fn follow(&self, name: &str) -> Result<Box<dyn LogFollower>, StorageError>;

    /// Notes that the follower needs no commit up to this number any more, not even after a restart.
    fn confirm(&self, name: &str, number: u64);

    /// Forgets the followers that have other names, and keeps nothing for them any more.
    fn keep_followers(&self, names: &[&str]);

    /// Number of the last commit that there is.
    fn last_number(&self) -> u64;

    /// Time of the newest sample that there is.
    fn newest_timestamp_ms(&self) -> Option<TimestampMs>;

    /// Makes all that wait for commits look whether they should stop.
    fn wake_followers(&self);
}

/// A place in the log.
pub trait LogFollower: Debug + Send {
    /// Takes the next commit; `false` if there is none yet.
    ///
    /// # Errors
    ///
    /// The log can't be read. The next call tries again.
    fn next(&mut self, commit: &mut LogCommit) -> Result<bool, StorageError>;

    /// Blocks until there is a commit, or until `stopped` is set and [`Log::wake_followers`] was called.
    fn wait(&self, stopped: &AtomicBool);

    /// Number of the last commit taken.
    fn number(&self) -> u64;

    /// Number of the last commit that there is.
    fn last_number(&self) -> u64;

    /// Number of the file of the log that it is at.
    fn segment(&self) -> u32;

    /// The labels that a number meant in the last commit taken; `None` if nobody knows any more.
    fn labels(&self, series: LogSeries) -> Option<Labels>;
}
