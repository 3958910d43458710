//! A shard: a bounded queue whose items are sent in order, one request at a time.
//!
//! Items leave the queue only when a request with them was taken or refused. So whoever looks at the queue sees
//! the oldest commit of which something is still to be sent, whatever the task that sends is doing.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use super::item::Item;

/// See the module.
#[derive(Debug)]
pub(super) struct Shard {
    queue: Mutex<Queue>,
    /// There is room, or the shard is retired.
    room: Condvar,
    /// There is something to look at, for the task that sends.
    pub(super) changed: Notify,
    capacity: usize,
    batch_len_max: usize,
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Item>,
    /// How many of the first items are in the request that is on its way.
    taken: usize,
    /// Others take over: nothing is added any more.
    retired: bool,
}

/// What became of an item that was to be added.
#[derive(Debug)]
pub(super) enum Pushed {
    /// It is in the queue; the flag says whether it had to wait.
    Added(bool),
    /// The shard is retired; here it is again.
    Retired(Item),
    /// It was to stop waiting.
    CutOff,
}

impl Shard {
    /// A shard that takes over items, more than its capacity if need be.
    pub(super) fn new(capacity: usize, batch_len_max: usize, items: VecDeque<Item>) -> Self {
        Shard {
            queue: Mutex::new(Queue { items, taken: 0, retired: false }),
            room: Condvar::new(),
            changed: Notify::new(),
            capacity: capacity.max(batch_len_max),
            batch_len_max,
        }
    }

    /// Adds an item; blocks while there is no room, unless `cut_off` is set.
    pub(super) fn push(&self, item: Item, cut_off: &AtomicBool) -> Pushed {
        let mut queue = self.queue.lock();
        let mut waited = false;
        while queue.items.len() - queue.taken >= self.capacity && !queue.retired {
            if cut_off.load(Ordering::Acquire) {
                return Pushed::CutOff;
            }
            waited = true;
            self.room.wait(&mut queue);
        }
        if queue.retired {
            return Pushed::Retired(item);
        }
        queue.items.push_back(item);
        let waiting = queue.items.len() - queue.taken;
        drop(queue);
        // The task has to know of the first, from when on it waits for others, and of a full batch.
        if waiting == 1 || waiting == self.batch_len_max {
            self.changed.notify_one();
        }
        Pushed::Added(waited)
    }

    /// How many items wait to be taken.
    pub(super) fn waiting(&self) -> usize {
        let queue = self.queue.lock();
        queue.items.len() - queue.taken
    }

    /// Whether there is no room.
    pub(super) fn is_full(&self) -> bool {
        self.waiting() >= self.capacity
    }

    /// Whether a request can be filled.
    pub(super) fn has_batch(&self) -> bool {
        self.waiting() >= self.batch_len_max
    }

    /// Copies the items of the next request; they stay until [`Self::finish`].
    pub(super) fn take(&self, batch: &mut Vec<Item>) {
        let mut queue = self.queue.lock();
        let len = queue.items.len().min(self.batch_len_max);
        batch.clear();
        batch.extend(queue.items.range(..len).cloned());
        queue.taken = len;
        drop(queue);
        // What is on its way leaves room behind it.
        self.room.notify_all();
    }

    /// The items taken are done with.
    pub(super) fn finish(&self) {
        let mut queue = self.queue.lock();
        let taken = std::mem::take(&mut queue.taken);
        queue.items.drain(..taken);
    }

    /// Lets nothing be added any more.
    pub(super) fn retire(&self) {
        self.queue.lock().retired = true;
        self.room.notify_all();
        self.changed.notify_one();
    }

    /// Makes who waits for room look again.
    pub(super) fn wake(&self) {
        drop(self.queue.lock());
        self.room.notify_all();
    }

    /// Takes out all items, when the shard's task has ended.
    pub(super) fn drain(&self) -> VecDeque<Item> {
        let mut queue = self.queue.lock();
        queue.taken = 0;
        std::mem::take(&mut queue.items)
    }

    /// The oldest commit with an item that isn't done with.
    pub(super) fn oldest_commit(&self) -> Option<u64> {
        self.queue.lock().items.front().map(|item| item.commit)
    }
}
