//! The loop of one target: wait for the slot, ask, append.
//!
//! Slots are spread over the interval by a hash of the target, and stay where they are over restarts: slot
//! `n` of a target is at `n × interval + hash % interval` since the epoch. A slot that was missed, because
//! the scrape before it took too long, is left out.

use std::sync::Arc;
use std::time::Duration;

use client::Client;
use http::HeaderMap;
use model::storage::Appender;
use model::time::{Clock, TimestampMs};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::config::JobConfig;
use crate::error::ScrapeError;
use crate::failure_log::FailureLog;
use crate::fetch::{fetch, request_headers};
use crate::manager::Options;
use crate::metrics::Metrics;
use crate::session::{Context, Outcome, Scratch, ScratchPool, Session};
use crate::status::{Health, TargetHealth};
use crate::target::Target;

/// A body up to this size is worked on where the connection is served: that takes about a millisecond. A
/// larger one goes to a thread of its own, so that it doesn't hold up other targets.
const INLINE_BODY_BYTES_MAX: usize = 1 << 20;

/// What a loop is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Scrape.
    Run,
    /// Stop; another loop goes on with the session.
    HandOver,
    /// Stop; the target is gone, its series end.
    End,
    /// Stop at once.
    Quit,
}

/// What all loops of a pool share.
#[derive(Debug)]
pub(crate) struct PoolContext {
    pub(crate) job: JobConfig,
    pub(crate) appender: Arc<dyn Appender>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    pub(crate) options: Options,
    pub(crate) scratches: Arc<ScratchPool>,
    pub(crate) failure_log: Option<FailureLog>,
    /// Shifts all slots, differently on each server.
    pub(crate) offset_seed: u64,
    /// Why no target of the pool is scraped, if there is a reason.
    pub(crate) forced_error: Mutex<Option<String>>,
}

/// A loop that runs.
#[derive(Debug)]
pub(crate) struct LoopHandle {
    orders: watch::Sender<Order>,
    task: JoinHandle<Session>,
}

impl LoopHandle {
    /// Stops the loop and takes its session over; `None` if the loop panicked.
    pub(crate) async fn hand_over(self) -> Option<Session> {
        self.orders.send_replace(Order::HandOver);
        self.task.await.ok()
    }

    /// Stops the loop, which then ends its series in its own time. The handle is for [`Self::quit`].
    pub(crate) fn end(&self) {
        self.orders.send_replace(Order::End);
    }

    /// Whether the loop has come to its end.
    pub(crate) fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// Waits for the loop's end.
    pub(crate) async fn finished(self) {
        let _ = self.task.await;
    }

    /// Stops the loop at once.
    pub(crate) async fn quit(self) {
        self.orders.send_replace(Order::Quit);
        let _ = self.task.await;
    }
}

/// Starts a loop.
pub(crate) fn spawn(
    pool: Arc<PoolContext>,
    target: Arc<Target>,
    client: Arc<Client>,
    health: Arc<TargetHealth>,
    session: Session,
) -> LoopHandle {
    let (orders, received) = watch::channel(Order::Run);
    let headers = request_headers(&pool.job, &target);
    let scrape_loop =
        ScrapeLoop { pool, target, client, health, headers, session: Some(session), orders: received };
    LoopHandle { orders, task: tokio::spawn(scrape_loop.run()) }
}

struct ScrapeLoop {
    pool: Arc<PoolContext>,
    target: Arc<Target>,
    client: Arc<Client>,
    health: Arc<TargetHealth>,
    headers: HeaderMap,
    /// `None` only while a thread works with it.
    session: Option<Session>,
    orders: watch::Receiver<Order>,
}

impl ScrapeLoop {
    async fn run(mut self) -> Session {
        let interval_ms = (self.target.interval.as_millis() as i64).max(1);
        let mut slot_ms = next_slot(self.now_ms(), interval_ms, self.target.hash ^ self.pool.offset_seed);
        let mut last_start: Option<Instant> = None;
        while self.wait_until(slot_ms).await {
            let started = Instant::now();
            if let Some(last) = last_start.replace(started) {
                self.observe_interval(started - last);
            }
            let timestamp_ms = self.aligned(slot_ms, interval_ms);
            // Boxed, so that a loop that waits holds no more than a pointer for it.
            if !Box::pin(self.scrape(timestamp_ms, started)).await {
                break;
            }
            slot_ms += interval_ms;
            let late_ms = self.now_ms() - slot_ms;
            if late_ms > 0 {
                slot_ms += (late_ms / interval_ms + 1) * interval_ms;
            }
        }
        if *self.orders.borrow() == Order::End {
            self.end(slot_ms, interval_ms).await;
        }
        self.session.take().unwrap_or_else(|| self.empty_session())
    }

    fn now_ms(&self) -> TimestampMs {
        self.pool.clock.now_ms()
    }

    fn empty_session(&self) -> Session {
        Session::new(self.pool.options.hash_seed, self.health.metadata().clone())
    }

    /// Waits for a time. Says whether to go on.
    async fn wait_until(&mut self, at_ms: TimestampMs) -> bool {
        let wait = Duration::from_millis((at_ms - self.now_ms()).max(0) as u64);
        tokio::select! {
            biased;
            _ = stopped(&mut self.orders) => false,
            () = tokio::time::sleep(wait) => true,
        }
    }

    /// The slot's time if the scrape is only as late as timers are, else the time that it is.
    fn aligned(&self, slot_ms: TimestampMs, interval_ms: i64) -> TimestampMs {
        let now_ms = self.now_ms();
        let tolerance_ms = (self.pool.options.timestamp_tolerance.as_millis() as i64).min(interval_ms / 100);
        let is_close = (now_ms - slot_ms).abs() <= tolerance_ms;
        if self.pool.options.align_timestamps && is_close { slot_ms } else { now_ms }
    }

    fn observe_interval(&self, length: Duration) {
        let interval = model::duration::format_ms(self.target.interval.as_millis() as i64);
        let metrics = &self.pool.metrics;
        metrics.interval_length.with_label_values(&[&interval]).observe(length.as_secs_f64());
        metrics.interval_length_histogram.with_label_values(&[&interval]).observe(length.as_secs_f64());
    }

    /// Scrapes once. Says whether to go on.
    async fn scrape(&mut self, timestamp_ms: TimestampMs, started: Instant) -> bool {
        let pool = self.pool.clone();
        let mut scratch = pool.scratches.take();
        scratch.body.clear();
        let forced = pool.forced_error.lock().clone();
        let fetched = match forced {
            Some(reason) => Err(ScrapeError::Forced(reason)),
            None => {
                let Scratch { body, gunzip, .. } = &mut scratch;
                let response = fetch(&self.client, &self.headers, &pool.job, &self.target, body, gunzip);
                let timed = tokio::time::timeout(self.target.timeout, response);
                let fetched = tokio::select! {
                    biased;
                    _ = stopped(&mut self.orders) => return false,
                    fetched = timed => fetched,
                };
                fetched.unwrap_or_else(|_| Err(ScrapeError::Timeout(self.target.url.clone())))
            }
        };
        if let (Err(error), Some(log)) = (&fetched, &pool.failure_log) {
            log.write(timestamp_ms, &pool.job.job_name, &self.target.url, error);
        }
        let outcome = self.append(scratch, timestamp_ms, fetched, started).await;
        pool.metrics.scrape_duration.observe(started.elapsed().as_secs_f64());
        self.health.set(Health {
            last_scrape_ms: Some(timestamp_ms),
            last_duration: outcome.duration,
            last_error: outcome.error.map(|error| error.to_string()),
        });
        true
    }

    async fn append(
        &mut self,
        mut scratch: Scratch,
        timestamp_ms: TimestampMs,
        fetched: Result<Option<crate::fetch::Format>, ScrapeError>,
        started: Instant,
    ) -> Outcome {
        let mut session = self.session.take().unwrap_or_else(|| self.empty_session());
        let (pool, target) = (self.pool.clone(), self.target.clone());
        let is_large = scratch.body.len() > INLINE_BODY_BYTES_MAX;
        let work = move || {
            let context = pool.context(&target);
            let outcome = session.append(&context, &mut scratch, timestamp_ms, fetched, started);
            pool.scratches.give_back(scratch);
            (session, outcome)
        };
        let done = if is_large { tokio::task::spawn_blocking(work).await.ok() } else { Some(work()) };
        match done {
            Some((session, outcome)) => {
                self.session = Some(session);
                outcome
            }
            None => {
                let error = ScrapeError::Body("appending was interrupted".to_owned());
                Outcome { error: Some(error), duration: started.elapsed() }
            }
        }
    }

    /// Ends the target's series as of the first slot without a scrape. Waits until a loop that took the
    /// target's place elsewhere would have scraped twice, so that its samples count rather than the end.
    async fn end(&mut self, slot_ms: TimestampMs, interval_ms: i64) {
        let until_ms = slot_ms.saturating_add(interval_ms).saturating_add(interval_ms / 10);
        let wait = Duration::from_millis((until_ms - self.now_ms()).max(0) as u64);
        let quit = self.orders.wait_for(|order| *order == Order::Quit);
        if tokio::time::timeout(wait, quit).await.is_ok() {
            return;
        }
        let context = self.pool.context(&self.target);
        if let Some(session) = &mut self.session {
            session.end_series(&context, slot_ms);
        }
    }
}

async fn stopped(orders: &mut watch::Receiver<Order>) {
    let _ = orders.wait_for(|order| *order != Order::Run).await;
}

impl PoolContext {
    pub(crate) fn context<'a>(&'a self, target: &'a Target) -> Context<'a> {
        Context { appender: &*self.appender, job: &self.job, target, metrics: &self.metrics }
    }
}

/// The first slot after `now_ms`.
fn next_slot(now_ms: TimestampMs, interval_ms: i64, hash: u64) -> TimestampMs {
    let offset_ms = (hash % interval_ms.unsigned_abs()) as i64;
    let since_slot_ms = (now_ms - offset_ms).rem_euclid(interval_ms);
    now_ms - since_slot_ms + interval_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_where_they_were_whenever_the_loop_starts() {
        for hash in [0, 1, 14_999, 15_000, u64::MAX] {
            let first = next_slot(1_000_000, 15_000, hash);
            assert_eq!(first.rem_euclid(15_000) as u64, hash % 15_000);
            for now in first..first + 15_000 {
                assert_eq!(next_slot(now, 15_000, hash), first + 15_000);
            }
        }
    }
}
