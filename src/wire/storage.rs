//! The storage as others see it, from before it is open until after it is closed.
//!
//! Replaying the log takes time, and the API answers meanwhile; so the parts are given this, which says
//! "not ready" until the database is there.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use api::state::{
    Cardinality, DamagedPlace, ExemplarSource, HeadStats, SeriesExemplars, StorageAdmin, StorageDamage,
    StorageStatus, WalReplay,
};
use arc_swap::ArcSwapOption;
use model::cancel::Cancel;
use model::log::{Log, LogFollower};
use model::matcher::Matcher;
use model::metadata::MetricFamily;
use model::storage::{Appender, Batch, Committed, Querier, Queryable, StorageError};
use model::time::TimestampMs;
use tsdb::block::dir;
use tsdb::block::meta::BlockMeta;
use tsdb::fs::RealFs;
use tsdb::{Db, ReplayProgress};

use super::options::retention;
use crate::config::Config;
use crate::flags::Flags;
use crate::reload::Part;

/// See the module; clones share the database.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    path: PathBuf,
    db: Arc<ArcSwapOption<Db>>,
    replay: Arc<ReplayProgress>,
}

impl Storage {
    /// The storage in a data directory, not open yet.
    pub(crate) fn new(path: PathBuf) -> Self {
        Storage { path, db: Arc::default(), replay: Arc::default() }
    }

    /// How many damaged places were found when the database was opened.
    pub(crate) fn corruptions(&self) -> usize {
        self.db().map_or(0, |db| db.damage().len())
    }

    /// Where the database is to tell how far it has replayed its log.
    pub(super) fn replay_progress(&self) -> Arc<ReplayProgress> {
        Arc::clone(&self.replay)
    }

    /// The database is there.
    pub(crate) fn opened(&self, db: Arc<Db>) {
        self.db.store(Some(db));
    }

    /// The database goes. It is closed when the last query that uses it ends.
    pub(crate) fn take(&self) -> Option<Arc<Db>> {
        self.db.swap(None)
    }

    /// Time of the oldest sample; [`TimestampMs::MAX`] while there is none.
    pub(super) fn oldest_ms(&self) -> TimestampMs {
        let Ok(db) = self.db() else { return TimestampMs::MAX };
        let blocks = db.blocks().iter().map(|block| block.meta().min_time).min();
        blocks.unwrap_or(TimestampMs::MAX).min(db.head_stats(0).min_time_ms)
    }

    fn db(&self) -> Result<Arc<Db>, StorageError> {
        self.db.load_full().ok_or(StorageError::NotReady)
    }
}

impl Appender for Storage {
    fn commit(&self, batch: &Batch) -> Result<Committed, StorageError> {
        self.db()?.commit(batch)
    }
}

impl Log for Storage {
    fn follow(&self, name: &str) -> Result<Box<dyn LogFollower>, StorageError> {
        self.db()?.follow(name)
    }

    fn confirm(&self, name: &str, number: u64) {
        if let Ok(db) = self.db() {
            db.confirm(name, number);
        }
    }

    fn keep_followers(&self, names: &[&str]) {
        if let Ok(db) = self.db() {
            db.keep_followers(names);
        }
    }

    fn last_number(&self) -> u64 {
        self.db().map_or(0, |db| db.last_number())
    }

    fn newest_timestamp_ms(&self) -> Option<TimestampMs> {
        self.db().ok()?.newest_timestamp_ms()
    }

    fn wake_followers(&self) {
        if let Ok(db) = self.db() {
            db.wake_followers();
        }
    }
}

impl Queryable for Storage {
    fn querier(&self, mint: TimestampMs, maxt: TimestampMs) -> Result<Box<dyn Querier>, StorageError> {
        self.db()?.querier(mint, maxt)
    }
}

impl StorageStatus for Storage {
    fn head_stats(&self) -> Result<HeadStats, StorageError> {
        let stats = self.db()?.head_stats(0);
        Ok(HeadStats {
            num_series: stats.cardinality.series as u64,
            num_label_pairs: stats.cardinality.label_pairs as u64,
            chunk_count: stats.chunks as u64,
            min_time_ms: stats.min_time_ms,
            max_time_ms: stats.max_time_ms,
        })
    }

    fn cardinality(&self, limit: usize) -> Result<Cardinality, StorageError> {
        let cardinality = self.db()?.head_stats(limit).cardinality;
        Ok(Cardinality {
            series_by_metric_name: cardinality.series_by_metric_name,
            values_by_label_name: cardinality.values_by_label_name,
            bytes_by_label_name: cardinality.bytes_by_label_name,
            series_by_label_pair: cardinality.series_by_label_pair,
        })
    }

    fn blocks(&self) -> Result<Vec<serde_json::Value>, StorageError> {
        self.db()?;
        let blocks = dir::list(&RealFs, &self.path)?;
        let metas = blocks.iter().map(|(_, path)| BlockMeta::read(&RealFs, path));
        let mut metas: Vec<BlockMeta> = metas.collect::<Result<_, _>>()?;
        metas.sort_by_key(|meta| meta.min_time);
        metas
            .iter()
            .map(|meta| serde_json::to_value(meta).map_err(|error| StorageError::Limit(error.to_string())))
            .collect()
    }

    fn families(&self) -> Result<Vec<Arc<MetricFamily>>, StorageError> {
        Ok(self.db()?.families())
    }

    fn wal_replay(&self) -> WalReplay {
        let of = |segment: &AtomicU64| segment.load(Ordering::Relaxed);
        WalReplay {
            min: of(&self.replay.first),
            max: of(&self.replay.last),
            current: of(&self.replay.current),
        }
    }

    fn damage(&self) -> Result<StorageDamage, StorageError> {
        let db = self.db()?;
        let places = db.damage().into_iter().map(|damage| DamagedPlace {
            file: damage.file.display().to_string(),
            from: damage.from as u64,
            to: damage.to as u64,
            what: damage.what,
        });
        Ok(StorageDamage { places: places.collect(), lost_commits: db.lost_commits() })
    }
}

impl StorageAdmin for Storage {
    fn delete_series(
        &self,
        mint: TimestampMs,
        maxt: TimestampMs,
        matchers: &[Matcher],
    ) -> Result<(), StorageError> {
        self.db()?.delete(matchers, mint, maxt, &Cancel::new())
    }

    fn clean_tombstones(&self) -> Result<(), StorageError> {
        self.db()?.clean_tombstones()
    }

    fn snapshot(&self, name: &str, skip_head: bool) -> Result<(), StorageError> {
        self.db()?.snapshot(&self.path.join("snapshots").join(name), !skip_head)
    }
}

impl ExemplarSource for Storage {
    fn exemplars(
        &self,
        mint: TimestampMs,
        maxt: TimestampMs,
        selectors: &[Vec<Matcher>],
    ) -> Result<Vec<SeriesExemplars>, StorageError> {
        let found = self.db()?.exemplars(selectors, mint, maxt).into_iter();
        Ok(found.map(|(series, exemplars)| SeriesExemplars { series, exemplars }).collect())
    }
}

/// Changes of the configuration that an open storage takes.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) storage: Storage,
    pub(super) flags: Arc<Flags>,
}

impl Part for Limits {
    fn name(&self) -> &'static str {
        "db_storage"
    }

    fn apply(&self, config: &Config) -> Result<(), String> {
        let db = self.storage.db().map_err(|error| error.to_string())?;
        db.set_out_of_order_time_window(config.storage.out_of_order_time_window.as_millis());
        db.set_max_exemplars(max_exemplars(config, self.flags.features.exemplar_storage));
        db.set_retention(retention(&self.flags, config).for_storage());
        Ok(())
    }
}

/// How many exemplars are kept; none without their feature.
pub(super) fn max_exemplars(config: &Config, keeps_exemplars: bool) -> usize {
    if keeps_exemplars { usize::try_from(config.storage.max_exemplars).unwrap_or(0) } else { 0 }
}
