//! A target that answers as it is told, a storage, and a manager that scrapes the one into the other.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use axum::routing::get;
use model::labels::Labels;
use model::time::SystemClock;
use scrape::config::{GlobalScrapeDefaults, JobConfig, ScrapeConfig};
use scrape::{Manager, Options, PoolStatus, TargetState};

use crate::storage::MemoryStorage;

/// How long a test waits for something that must happen: far more than it takes, so that only a test that
/// fails waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a target does when it is asked: given the request's headers, it makes an answer.
pub(crate) type Answer = Arc<dyn Fn(&HeaderMap) -> Response<Body> + Send + Sync>;

#[derive(Clone)]
struct Target {
    answer: Arc<Mutex<Answer>>,
}

pub(crate) struct World {
    pub(crate) manager: Manager,
    pub(crate) storage: Arc<MemoryStorage>,
    pub(crate) registry: prometheus::Registry,
    pub(crate) address: SocketAddr,
    target: Target,
}

/// A text answer.
pub(crate) fn text(body: impl Into<String>) -> Answer {
    let body = body.into();
    Arc::new(move |_| {
        Response::builder()
            .header("content-type", "text/plain; version=0.0.4")
            .body(Body::from(body.clone()))
            .unwrap()
    })
}

/// An answer of another type.
pub(crate) fn typed(content_type: &'static str, body: impl Into<Vec<u8>>) -> Answer {
    let body: Vec<u8> = body.into();
    Arc::new(move |_| {
        Response::builder().header("content-type", content_type).body(Body::from(body.clone())).unwrap()
    })
}

impl World {
    pub(crate) async fn new(answer: Answer) -> Self {
        Self::with_options(answer, Options::default()).await
    }

    pub(crate) async fn with_options(answer: Answer, options: Options) -> Self {
        let target = Target { answer: Arc::new(Mutex::new(answer)) };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let handler = |State(target): State<Target>, headers: HeaderMap| async move {
            let answer = target.answer.lock().unwrap().clone();
            answer(&headers)
        };
        let router = Router::new().route("/{*path}", get(handler)).with_state(target.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let storage = Arc::new(MemoryStorage::default());
        let registry = prometheus::Registry::new();
        let manager = Manager::new(storage.clone(), Arc::new(SystemClock), &registry, options).unwrap();
        World { manager, storage, registry, address, target }
    }

    /// Changes what the target answers.
    pub(crate) fn answer(&self, answer: Answer) {
        *self.target.answer.lock().unwrap() = answer;
    }

    /// A job, written in YAML with `ADDRESS` for the target's address.
    pub(crate) fn job(&self, yaml: &str) -> JobConfig {
        let yaml = yaml.replace("ADDRESS", &self.address.to_string());
        let config: ScrapeConfig = serde_saphyr::from_str(&yaml).unwrap();
        config.resolve(&GlobalScrapeDefaults::default()).unwrap()
    }

    pub(crate) fn apply(&self, jobs: &[&str]) {
        let jobs = jobs.iter().map(|yaml| self.job(yaml)).collect();
        self.manager.apply(jobs, &Labels::empty()).unwrap();
    }

    /// Waits until the condition holds.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let wait = async {
            while !condition(self) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!(
                "never: {what}\npools: {:#?}\nseries: {:#?}",
                self.manager.targets(),
                self.storage.series()
            );
        }
    }

    /// The only pool.
    pub(crate) fn pool(&self) -> PoolStatus {
        self.manager.targets().into_iter().next().unwrap()
    }

    /// State and error of the only target, once it was scraped.
    pub(crate) async fn scraped(&self, state: TargetState) -> String {
        self.until(&format!("target is {state:?}"), |world| {
            let pool = world.pool();
            pool.active.first().is_some_and(|target| target.state == state)
        })
        .await;
        self.pool().active[0].last_error.clone()
    }

    /// A counter or gauge of the manager's own.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family.map(|family| family.get_metric()).unwrap_or_default();
        metrics.iter().map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value()).sum()
    }
}
