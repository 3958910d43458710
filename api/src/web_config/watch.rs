//! The configuration in force, read again when its files change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::HeaderMap;
use parking_lot::Mutex;
use rustls::ServerConfig;
use tracing::{info, warn};

use super::file::{WebConfig, WebConfigError};
use super::guard::{Bucket, Credentials};
use super::tls;

/// How often the files are looked at, at most: a change is in force after this long.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What a configuration comes to.
#[derive(Debug)]
pub(crate) struct InForce {
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) headers: HeaderMap,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) bucket: Option<Bucket>,
}

/// Files and what was seen of them: modification time and length.
type Seen = Vec<(PathBuf, Option<(SystemTime, u64)>)>;

/// A web configuration file that is watched.
#[derive(Debug)]
pub(crate) struct WebConfigWatch {
    file: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    in_force: Arc<InForce>,
    seen: Seen,
    looked: Instant,
}

impl WebConfigWatch {
    /// Reads the file for the first time.
    pub(crate) fn open(file: &Path) -> Result<Self, WebConfigError> {
        let (in_force, seen) = load(file)?;
        let state = State { in_force: Arc::new(in_force), seen, looked: Instant::now() };
        Ok(WebConfigWatch { file: file.to_owned(), state: Mutex::new(state) })
    }

    /// The configuration in force. Looks at the files if that was long enough ago.
    pub(crate) fn current(&self) -> Arc<InForce> {
        let mut state = self.state.lock();
        if state.looked.elapsed() >= LOOK_INTERVAL {
            state.looked = Instant::now();
            let seen: Seen = state.seen.iter().map(|(path, _)| (path.clone(), look(path))).collect();
            if seen != state.seen {
                self.reload(&mut state, seen);
            }
        }
        Arc::clone(&state.in_force)
    }

    fn reload(&self, state: &mut State, seen: Seen) {
        match load(&self.file) {
            Ok((in_force, seen)) => {
                info!(file = %self.file.display(), "the web configuration has been reloaded");
                state.in_force = Arc::new(in_force);
                state.seen = seen;
            }
            Err(error) => {
                warn!(%error, "the changed web configuration can't be used; the one before stays in force");
                state.seen = seen;
            }
        }
    }
}

fn look(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn load(file: &Path) -> Result<(InForce, Seen), WebConfigError> {
    // Looked at before it is read, so that a change in between is seen later.
    let mut seen = vec![(file.to_owned(), look(file))];
    let config = WebConfig::load(file)?;
    if let Some(tls) = &config.tls_server_config {
        let files = [&tls.cert_file, &tls.key_file, &tls.client_ca_file];
        let named = files.into_iter().filter(|path| !path.as_os_str().is_empty());
        seen.extend(named.map(|path| (path.clone(), look(path))));
    }
    let invalid = |what| WebConfigError::Invalid { file: file.to_owned(), what };
    let tls = config
        .tls_server_config
        .as_ref()
        .map(|tls| tls::server_config(tls, config.http_server_config.http2))
        .transpose()?;
    let headers = config.headers().map_err(invalid)?;
    let credentials = Credentials::new(config.basic_auth_users);
    Ok((InForce { tls, headers, credentials, bucket: Bucket::new(config.rate_limit) }, seen))
}
