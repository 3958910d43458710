//! One endpoint: a thread that reads the log into shards, a task for each shard that sends, and a task that
//! looks after them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use model::log::{Log, LogFollower};
use model::time::{Clock, TimestampMs};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::config::EndpointConfig;
use super::metadata::{Families, MetadataSource};
use super::metrics::{EndpointMetrics, Metrics};
use super::post::Poster;
use super::reader::Reader;
use super::sharding::{Traffic, UPDATE_INTERVAL, next_shards};
use super::shards::Shards;
use super::{metadata_task, sending};

/// How often the log is told what isn't needed any more.
const CONFIRM_INTERVAL: Duration = Duration::from_secs(1);

/// What the tasks of shards are to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Send what comes.
    Run,
    /// Send what there is, without waiting for more, and end.
    Finish,
    /// End after the request that is on its way.
    Retire,
}

/// What all parts of an endpoint know.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: EndpointConfig,
    pub(super) poster: Poster,
    pub(super) metrics: EndpointMetrics,
    pub(super) all_metrics: Arc<Metrics>,
    pub(super) log: Arc<dyn Log>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) shards: Shards,
    pub(super) traffic: Traffic,
    pub(super) families: ArcSwap<Families>,
    /// Number of the last commit that is wholly in the shards.
    pub(super) read: AtomicU64,
    /// Commits up to this may have been sent before the last restart.
    pub(super) repeated_until: u64,
    /// The reader is to end behind `read_until`.
    pub(super) stopping: AtomicBool,
    pub(super) read_until: AtomicU64,
    /// Time of the newest sample put into a shard, and of the newest sent; `i64::MIN` before the first.
    pub(super) newest_queued_ms: AtomicI64,
    pub(super) newest_sent_ms: AtomicI64,
    pub(super) resharding: Mutex<Resharding>,
}

/// When the number of shards may be changed.
#[derive(Debug, Default)]
pub(super) struct Resharding {
    pub(super) last_success: Option<Instant>,
    /// Not before then: the endpoint is in trouble.
    pub(super) not_before: Option<Instant>,
}

impl Shared {
    /// Tells the log what isn't needed any more.
    fn confirm(&self) {
        // Read first: what is put into shards after that is behind it.
        let read = self.read.load(Ordering::Acquire);
        let done = self.shards.oldest_commit().map_or(read, |oldest| read.min(oldest - 1));
        self.log.confirm(&self.config.name, done);
    }

    /// Time of the newest sample that the endpoint should have.
    fn newest_ms(&self) -> Option<TimestampMs> {
        // While the queue is full, what waits behind it is in the log only.
        let waiting = if self.shards.is_full() { self.log.newest_timestamp_ms() } else { None };
        waiting.max(Some(self.newest_queued_ms.load(Ordering::Relaxed)).filter(|t| *t != i64::MIN))
    }

    fn update_gauges(&self) {
        if let Some(newest) = self.newest_ms() {
            self.metrics.queue_highest.set(newest as f64 / 1e3);
        }
        let sent = self.newest_sent_ms.load(Ordering::Relaxed);
        if sent != i64::MIN {
            self.metrics.queue_highest_sent.set(sent as f64 / 1e3);
        }
    }

    /// How far the endpoint is behind, in seconds.
    fn delay_secs(&self) -> f64 {
        match (self.newest_ms(), self.newest_sent_ms.load(Ordering::Relaxed)) {
            (Some(newest), sent) if sent != i64::MIN => newest.saturating_sub(sent) as f64 / 1e3,
            _ => 0.0,
        }
    }

    /// The number of shards to have from now on; `None` if it stays.
    fn reshard(&self) -> Option<usize> {
        self.traffic.tick();
        let delay_secs = self.delay_secs();
        let wanted = self.traffic.shards_wanted(delay_secs)?;
        self.metrics.shards_desired.set(wanted);
        let resharding = self.resharding.lock();
        let sends = resharding.last_success.is_some_and(|at| at.elapsed() <= UPDATE_INTERVAL);
        if !sends || resharding.not_before.is_some_and(|at| at > Instant::now()) {
            return None;
        }
        let (now, queue) = (self.shards.current().len(), &self.config.queue);
        let next = next_shards(now, wanted, delay_secs, (queue.min_shards, queue.max_shards));
        (next != now).then_some(next)
    }
}

/// What an endpoint is given.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) log: Arc<dyn Log>,
    pub(super) metadata: Arc<dyn MetadataSource>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) user_agent: String,
    pub(super) runtime: Handle,
    /// Number of the last commit that any endpoint has counted.
    pub(super) counted: Arc<AtomicU64>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Endpoint {
    shared: Arc<Shared>,
    /// Asks the keeper to let everything be sent and to end.
    stop: oneshot::Sender<()>,
    /// Asks the keeper to end at once.
    give_up: oneshot::Sender<()>,
    keeper: JoinHandle<()>,
    reader: std::thread::JoinHandle<()>,
}

impl Endpoint {
    /// Starts to send.
    pub(super) fn start(config: EndpointConfig, parts: &Parts) -> Result<Self, String> {
        let poster = Poster::new(&config, &parts.user_agent)?;
        let follower = parts.log.follow(&config.name).map_err(|error| error.to_string())?;
        let metrics = parts.metrics.of(&config.name, &config.url);
        metrics.shard_capacity.set(config.queue.capacity as i64);
        metrics.shards_max.set(config.queue.max_shards as i64);
        metrics.shards_min.set(config.queue.min_shards as i64);
        metrics.max_samples_per_send.set(config.queue.max_samples_per_send as i64);
        let shared = Arc::new(Shared {
            shards: Shards::new(config.queue.clone()),
            config,
            poster,
            metrics,
            all_metrics: Arc::clone(&parts.metrics),
            log: Arc::clone(&parts.log),
            clock: Arc::clone(&parts.clock),
            traffic: Traffic::default(),
            families: ArcSwap::default(),
            read: AtomicU64::new(follower.number()),
            repeated_until: follower.last_number(),
            stopping: AtomicBool::new(false),
            read_until: AtomicU64::new(0),
            newest_queued_ms: AtomicI64::new(i64::MIN),
            newest_sent_ms: AtomicI64::new(i64::MIN),
            resharding: Mutex::default(),
        });
        let (reader, read) = start_reader(&shared, follower, &parts.counted)?;
        let (stop, stopped) = oneshot::channel();
        let (give_up, given_up) = oneshot::channel();
        let keeper = Keeper::new(Arc::clone(&shared), Arc::clone(&parts.metadata), &parts.runtime);
        let keeper = parts.runtime.spawn(keeper.run(stopped, given_up, read));
        Ok(Endpoint { shared, stop, give_up, keeper, reader })
    }

    pub(super) fn config(&self) -> &EndpointConfig {
        &self.shared.config
    }

    /// Sends what the log has by now, for as long as `deadline` lets it, and ends. What wasn't sent then is
    /// sent by the next endpoint of this name. Nothing of it holds the log when this returns.
    pub(super) async fn stop(self, deadline: Duration) {
        let Endpoint { shared, stop, give_up, mut keeper, reader } = self;
        shared.read_until.store(shared.log.last_number(), Ordering::Release);
        shared.stopping.store(true, Ordering::Release);
        shared.log.wake_followers();
        reader.thread().unpark();
        // The keeper listens until it ends.
        let _ = stop.send(());
        if tokio::time::timeout(deadline, &mut keeper).await.is_err() {
            tracing::warn!(
                remote_name = shared.config.name,
                url = shared.config.url,
                "Failed to flush all samples on shutdown; they are sent after a restart"
            );
            // The keeper may just have ended by itself.
            let _ = give_up.send(());
            let _ = keeper.await;
        }
        // From then on nothing takes from the shards: what is in them stays to be sent.
        shared.shards.cut_off();
        reader.thread().unpark();
        // Soon: it reads what is in the log by now, and waits for nothing any more.
        let _ = tokio::task::spawn_blocking(move || reader.join()).await;
        shared.confirm();
        shared.all_metrics.remove(&shared.config.name, &shared.config.url);
    }
}

/// Starts the thread that reads the log; the receiver hears when it ends.
fn start_reader(
    shared: &Arc<Shared>,
    follower: Box<dyn LogFollower>,
    counted: &Arc<AtomicU64>,
) -> Result<(std::thread::JoinHandle<()>, oneshot::Receiver<()>), String> {
    let (ended, read) = oneshot::channel::<()>();
    let reader = Reader::new(Arc::clone(shared), follower, Arc::clone(counted));
    let thread = std::thread::Builder::new().name("remote-write".to_owned()).spawn(move || {
        reader.run();
        drop(ended);
    });
    let thread = thread.map_err(|error| format!("start thread for remote write: {error}"))?;
    Ok((thread, read))
}

/// Looks after the shards.
#[derive(Debug)]
struct Keeper {
    shared: Arc<Shared>,
    metadata: Arc<dyn MetadataSource>,
    runtime: Handle,
    tasks: JoinSet<()>,
    metadata_task: JoinSet<()>,
    order: watch::Sender<Order>,
}

impl Keeper {
    fn new(shared: Arc<Shared>, metadata: Arc<dyn MetadataSource>, runtime: &Handle) -> Self {
        let (order, _) = watch::channel(Order::Run);
        let (tasks, metadata_task) = (JoinSet::new(), JoinSet::new());
        Keeper { shared, metadata, runtime: runtime.clone(), tasks, metadata_task, order }
    }

    /// Ends when `stopped` says so and all is sent, or at once when `given_up` says so; its tasks have ended then.
    async fn run(
        mut self,
        stopped: oneshot::Receiver<()>,
        given_up: oneshot::Receiver<()>,
        read: oneshot::Receiver<()>,
    ) {
        tokio::select! {
            () = self.look_after(stopped, read) => {}
            _ = given_up => {}
        }
        self.tasks.shutdown().await;
        self.metadata_task.shutdown().await;
    }

    async fn look_after(&mut self, mut stopped: oneshot::Receiver<()>, read: oneshot::Receiver<()>) {
        if self.shared.config.metadata.send {
            self.metadata_task
                .spawn(metadata_task::run(Arc::clone(&self.shared), Arc::clone(&self.metadata)));
        }
        self.start_tasks();
        let mut confirm = tokio::time::interval(CONFIRM_INTERVAL);
        let mut update = tokio::time::interval(UPDATE_INTERVAL);
        loop {
            tokio::select! {
                _ = &mut stopped => break,
                _ = confirm.tick() => {
                    self.shared.confirm();
                    self.shared.update_gauges();
                }
                _ = update.tick() => if let Some(count) = self.shared.reshard() {
                    self.replace_shards(count).await;
                }
            }
        }
        // An error means the same as the message: the reader has ended.
        let _ = read.await;
        self.order.send_replace(Order::Finish);
        while self.tasks.join_next().await.is_some() {}
    }

    fn start_tasks(&mut self) {
        self.order.send_replace(Order::Run);
        let shards = self.shared.shards.current();
        self.shared.metrics.shards.set(shards.len() as i64);
        for shard in shards.iter() {
            let task = sending::run(Arc::clone(&self.shared), Arc::clone(shard), self.order.subscribe());
            self.tasks.spawn_on(task, &self.runtime);
        }
    }

    async fn replace_shards(&mut self, count: usize) {
        let shards = self.shared.shards.current();
        tracing::info!(
            remote_name = self.shared.config.name,
            url = self.shared.config.url,
            from = shards.len(),
            to = count,
            "Remote storage resharding"
        );
        self.order.send_replace(Order::Retire);
        shards.iter().for_each(|shard| shard.retire());
        while self.tasks.join_next().await.is_some() {}
        self.shared.shards.replace(count);
        self.start_tasks();
    }
}
