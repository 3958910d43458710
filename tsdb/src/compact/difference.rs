//! The samples of a source that others don't have.

use model::storage::StorageError;
use model::time::TimestampMs;

use super::merge::MergedSource;
use super::samples::{ChunkLimits, Samples};
use super::source::{SeriesSource, SourceSeries};
use crate::block::ChunkData;
use crate::block::tombstones::Interval;
use crate::chunk::ChunkError;
use crate::error::corrupt;

/// Leaves out the samples of a source whose series has one at that time in another source. A chunk without such
/// a sample passes as it is.
#[derive(Debug)]
pub(crate) struct Difference<'s> {
    from: Box<dyn SeriesSource + 's>,
    known: MergedSource<'s>,
    current: SourceSeries,
    /// The next series of what is known; `None` if there are no more.
    next_known: Option<SourceSeries>,
    samples: Samples,
}

impl<'s> Difference<'s> {
    /// What `from` has beyond the others.
    pub(crate) fn new(
        from: Box<dyn SeriesSource + 's>,
        known: Vec<Box<dyn SeriesSource + 's>>,
    ) -> Result<Self, StorageError> {
        let known = MergedSource::new(known, false)?;
        let mut difference = Difference {
            from,
            known,
            current: SourceSeries::new(),
            next_known: Some(SourceSeries::new()),
            samples: Samples::default(),
        };
        difference.advance()?;
        Ok(difference)
    }

    fn advance(&mut self) -> Result<(), StorageError> {
        if let Some(next) = &mut self.next_known
            && !self.known.next(next)?
        {
            self.next_known = None;
        }
        Ok(())
    }

    /// Adds what the current series has and the known one of the same labels hasn't.
    fn subtract(&mut self, into: &mut SourceSeries) -> Result<(), ChunkError> {
        let Some(known) = self.next_known.as_ref().filter(|known| known.labels == into.labels) else {
            self.current.chunks().for_each(|chunk| into.push(chunk));
            return Ok(());
        };
        for chunk in self.current.chunks() {
            let times = known_times(known, &chunk, &mut self.samples)?;
            if times.is_empty() {
                into.push(chunk);
                continue;
            }
            self.samples.clear();
            self.samples.decode(&chunk, ALL)?;
            self.samples.remove_times(&times);
            self.samples.encode(ChunkLimits::SMALL, into);
        }
        Ok(())
    }
}

const ALL: Interval = Interval { mint: TimestampMs::MIN, maxt: TimestampMs::MAX };

/// The times of a series' samples during a chunk, ascending.
fn known_times(
    known: &SourceSeries,
    chunk: &ChunkData<'_>,
    samples: &mut Samples,
) -> Result<Vec<TimestampMs>, ChunkError> {
    samples.clear();
    let within = Interval { mint: chunk.mint, maxt: chunk.maxt };
    for known in known.chunks().filter(|known| known.mint <= within.maxt && known.maxt >= within.mint) {
        samples.decode(&known, within)?;
    }
    Ok(samples.times())
}

impl SeriesSource for Difference<'_> {
    fn next(&mut self, into: &mut SourceSeries) -> Result<bool, StorageError> {
        if !self.from.next(&mut self.current)? {
            return Ok(false);
        }
        while self.next_known.as_ref().is_some_and(|known| known.labels < self.current.labels) {
            self.advance()?;
        }
        into.reset(self.current.labels.clone());
        self.subtract(into).map_err(|error| {
            corrupt(
                std::path::Path::new("chunks to be compared"),
                0,
                format!("series {}: {error}", into.labels),
            )
        })?;
        Ok(true)
    }
}
