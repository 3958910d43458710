//! The task of a shard: batches into requests, again and again until they are taken or refused.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::encode::Encoder;
use super::endpoint::{Order, Shared};
use super::item::{Counts, Item};
use super::metrics::DropReason;
use super::post::Posted;
use super::shard::Shard;
use crate::write::Version;

/// How many series of a request that failed are shown in the log, if that is asked for.
const SERIES_SHOWN: usize = 10;

/// Sends what comes into a shard until told to end.
pub(super) async fn run(shared: Arc<Shared>, shard: Arc<Shard>, order: watch::Receiver<Order>) {
    let mut sending = Sending { shared, shard, order, encoder: Encoder::default() };
    let mut batch = Vec::new();
    while sending.wait_for_batch().await {
        sending.shard.take(&mut batch);
        let counts = Counts::of(&batch);
        if !sending.send_all(&mut batch).await {
            return;
        }
        sending.shard.finish();
        sending.shared.metrics.remove_pending(counts);
    }
}

struct Sending {
    shared: Arc<Shared>,
    shard: Arc<Shard>,
    order: watch::Receiver<Order>,
    encoder: Encoder,
}

/// How sending a batch ended.
enum Ended {
    /// It is done with.
    Done,
    /// It was refused, all of it as far as is known.
    Refused,
    /// The shard is retired: others send it.
    Retired,
}

impl Sending {
    /// Waits until there is something to send; `false` if the task is to end.
    async fn wait_for_batch(&mut self) -> bool {
        let mut due = None;
        loop {
            match *self.order.borrow_and_update() {
                Order::Retire => return false,
                Order::Finish => return self.shard.waiting() > 0,
                Order::Run if self.shard.has_batch() => return true,
                Order::Run => {}
            }
            if self.shard.waiting() > 0 && due.is_none() {
                due = Some(tokio::time::Instant::now() + self.shared.config.queue.batch_send_deadline.0);
            }
            let deadline = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = deadline => return true,
                () = self.shard.changed.notified() => {}
                // Who gives orders ends after the tasks.
                _ = self.order.changed() => {}
            }
        }
    }

    /// Sends a batch; `false` if the task is to end before it is done with.
    ///
    /// A batch may hold what was sent before a crash, and some receivers refuse a request as a whole for one
    /// sample that they have. So such a batch that is refused is sent again in halves.
    async fn send_all(&mut self, batch: &mut Vec<Item>) -> bool {
        let mut parts = VecDeque::from([std::mem::take(batch)]);
        while let Some(mut part) = parts.pop_front() {
            match self.send(&mut part).await {
                Ended::Done => {}
                Ended::Retired => return false,
                Ended::Refused => match self.halve(&mut part) {
                    Some(second) => {
                        parts.push_front(second);
                        parts.push_front(part);
                    }
                    None => self.note_refused(&part),
                },
            }
        }
        true
    }

    /// Splits what may have been sent before, between commits; returns the second half.
    fn halve(&self, part: &mut Vec<Item>) -> Option<Vec<Item>> {
        let first = part.first().filter(|first| first.commit <= self.shared.repeated_until)?.commit;
        let middle = part.len() / 2;
        let at = part[..=middle].partition_point(|item| item.commit < part[middle].commit);
        let at = if at > 0 { at } else { part.partition_point(|item| item.commit <= first) };
        (at < part.len()).then(|| part.split_off(at))
    }

    /// Sends one request until it is taken or refused.
    async fn send(&mut self, batch: &mut Vec<Item>) -> Ended {
        let queue = &self.shared.config.queue;
        let (backoff_min, backoff_max) = (queue.min_backoff.0, queue.max_backoff.0);
        let mut backoff = backoff_min;
        let mut body = None;
        for attempt in 0.. {
            if self.drop_old(batch) {
                body = None;
            }
            if batch.is_empty() {
                return Ended::Done;
            }
            let version = self.shared.config.version;
            let families = self.shared.families.load();
            let encoded = body.get_or_insert_with(|| self.encoder.items(version, batch, &families)).clone();
            drop(families);
            let counts = Counts::of(batch);
            self.shared.metrics.note_sent(counts);
            self.shared.metrics.bytes.inc_by(encoded.len() as u64);
            let started = Instant::now();
            let posted = self.shared.poster.post(encoded, attempt, &*self.shared.clock).await;
            self.note_duration(started.elapsed(), counts);
            match posted {
                Posted::Taken(written) => return self.note_taken(batch, counts, written),
                Posted::Refused(what, written) => return self.refused(batch, counts, &what, written),
                Posted::Later(what, after) => {
                    self.shared.metrics.note_retried(counts);
                    let wait = after.unwrap_or(backoff);
                    backoff = (wait * 2).clamp(backoff_min, backoff_max);
                    self.shared.note_trouble(&what, wait, attempt);
                    if self.is_retired_within(wait).await {
                        return Ended::Retired;
                    }
                }
            }
        }
        Ended::Done
    }

    /// Drops samples that have become too old; returns whether there were any.
    fn drop_old(&self, batch: &mut Vec<Item>) -> bool {
        let before = Counts::of(batch);
        batch.retain(|item| !self.shared.is_too_old(item.timestamp_ms));
        let dropped = before.without(Counts::of(batch));
        self.shared.metrics.note_dropped(dropped, DropReason::TooOld);
        dropped.total() > 0
    }

    fn note_duration(&self, duration: Duration, counts: Counts) {
        self.shared.metrics.batch_duration.observe(duration.as_secs_f64());
        self.shared.traffic.sent.add(counts.total());
        self.shared.traffic.sending_us.add(duration.as_micros() as u64);
    }

    /// Notes that a request was taken. Of 2.0 the answer says what was stored; one that says nothing is of a
    /// receiver that doesn't know the message and hasn't said so.
    fn note_taken(&self, batch: &[Item], counts: Counts, written: Option<Counts>) -> Ended {
        let written = match self.shared.config.version {
            Version::V1 => counts,
            Version::V2 => written.unwrap_or_default(),
        };
        self.shared.metrics.note_failed(counts.without(written));
        if written.total() == 0 {
            tracing::error!(
                remote_name = self.shared.config.name,
                url = self.shared.config.url,
                samples = counts.total(),
                "the endpoint took a 2.0 request but says that it stored nothing; it may support {} only",
                Version::V1.message()
            );
            return Ended::Done;
        }
        if let Some(newest) = batch.iter().map(|item| item.timestamp_ms).max() {
            self.shared.newest_sent_ms.fetch_max(newest, Ordering::Relaxed);
        }
        self.shared.resharding.lock().last_success = Some(Instant::now());
        Ended::Done
    }

    fn refused(&self, batch: &[Item], counts: Counts, what: &str, written: Option<Counts>) -> Ended {
        tracing::error!(
            remote_name = self.shared.config.name,
            url = self.shared.config.url,
            samples = counts.total(),
            err = what,
            "non-recoverable error"
        );
        if self.shared.config.failed_request_logging {
            for item in batch.iter().take(SERIES_SHOWN) {
                tracing::error!(
                    remote_name = self.shared.config.name,
                    series = %item.labels,
                    timestamp_ms = item.timestamp_ms,
                    value = ?item.value,
                    "was in the request that failed"
                );
            }
        }
        match written.filter(|written| written.total() > 0) {
            Some(written) => {
                self.shared.metrics.note_failed(counts.without(written));
                Ended::Done
            }
            None => Ended::Refused,
        }
    }

    fn note_refused(&self, batch: &[Item]) {
        self.shared.metrics.note_failed(Counts::of(batch));
    }

    /// Waits; returns whether the shard is retired meanwhile.
    async fn is_retired_within(&mut self, wait: Duration) -> bool {
        let retired = self.order.wait_for(|order| *order == Order::Retire);
        tokio::time::timeout(wait, retired).await.is_ok()
    }
}

impl Shared {
    /// Notes that an endpoint couldn't take a request, and will be asked again after a wait.
    pub(super) fn note_trouble(&self, what: &str, wait: Duration, attempt: usize) {
        self.resharding.lock().not_before = Some(Instant::now() + wait * 2);
        // The first of a row, and from then on ever fewer.
        if attempt.is_power_of_two() || attempt == 0 {
            tracing::warn!(
                remote_name = self.config.name,
                url = self.config.url,
                err = what,
                attempt,
                "Failed to send batch, retrying"
            );
        }
    }
}
