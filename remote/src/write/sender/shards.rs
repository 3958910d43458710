//! The shards of an endpoint, and changing their number.
//!
//! A series is always in one shard, by the hash of its labels, so its samples are sent in order. To change the
//! number, the shards are retired, their tasks end after the request that is on its way, and what they hold is
//! spread over the new ones in the order of the log. Nothing is sent twice for it, and nothing is lost.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Condvar, Mutex};

use super::config::QueueConfig;
use super::item::Item;
use super::shard::{Pushed, Shard};

/// See the module.
#[derive(Debug)]
pub(super) struct Shards {
    current: Mutex<Arc<[Arc<Shard>]>>,
    replaced: Condvar,
    config: QueueConfig,
    /// Nobody waits for room any more.
    cut_off: AtomicBool,
}

impl Shards {
    pub(super) fn new(config: QueueConfig) -> Self {
        let first = spread(&config, config.min_shards, VecDeque::new());
        Shards {
            current: Mutex::new(first),
            replaced: Condvar::new(),
            config,
            cut_off: AtomicBool::new(false),
        }
    }

    pub(super) fn current(&self) -> Arc<[Arc<Shard>]> {
        Arc::clone(&self.current.lock())
    }

    /// Adds an item; blocks while there is no room. Returns whether it had to wait; `None` after
    /// [`Self::cut_off`], when it may not have been added.
    pub(super) fn push(&self, mut item: Item, hash: u64) -> Option<bool> {
        loop {
            let shards = self.current();
            let shard = &shards[(hash % shards.len() as u64) as usize];
            match shard.push(item, &self.cut_off) {
                Pushed::Added(waited) => return Some(waited),
                Pushed::CutOff => return None,
                Pushed::Retired(again) => item = again,
            }
            let mut current = self.current.lock();
            while Arc::ptr_eq(&current, &shards) {
                if self.cut_off.load(Ordering::Acquire) {
                    return None;
                }
                self.replaced.wait(&mut current);
            }
        }
    }

    /// Lets nobody wait for room any more.
    pub(super) fn cut_off(&self) {
        self.cut_off.store(true, Ordering::Release);
        let current = self.current.lock();
        current.iter().for_each(|shard| shard.wake());
        self.replaced.notify_all();
    }

    /// Whether [`Self::cut_off`] was called.
    pub(super) fn is_cut_off(&self) -> bool {
        self.cut_off.load(Ordering::Acquire)
    }

    /// Puts so many shards in place of those that are retired and whose tasks have ended.
    pub(super) fn replace(&self, count: usize) {
        let mut current = self.current.lock();
        let mut items: Vec<Item> = current.iter().flat_map(|shard| shard.drain()).collect();
        // Stable: a series' items, which are of one shard, stay in their order.
        items.sort_by_key(|item| item.commit);
        *current = spread(&self.config, count, items.into());
        self.replaced.notify_all();
    }

    /// The oldest commit with an item that isn't done with.
    pub(super) fn oldest_commit(&self) -> Option<u64> {
        self.current.lock().iter().filter_map(|shard| shard.oldest_commit()).min()
    }

    /// Whether a shard has no room.
    pub(super) fn is_full(&self) -> bool {
        self.current.lock().iter().any(|shard| shard.is_full())
    }
}

fn spread(config: &QueueConfig, count: usize, items: VecDeque<Item>) -> Arc<[Arc<Shard>]> {
    let mut queues = vec![VecDeque::new(); count];
    for item in items {
        let shard = (item.labels.stable_hash() % count as u64) as usize;
        queues[shard].push_back(item);
    }
    let shard = |items| Arc::new(Shard::new(config.capacity, config.max_samples_per_send, items));
    queues.into_iter().map(shard).collect()
}
