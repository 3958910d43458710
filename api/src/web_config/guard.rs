//! What stands before every request when there is a web configuration: the limit on the rate, the password,
//! and the headers of the response.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use http::{HeaderMap, Response, StatusCode};
use parking_lot::Mutex;

use super::file::RateLimit;
use super::watch::WebConfigWatch;
use crate::respond::plain_error;

/// Checked passwords that are remembered, good and bad ones; as in the exporter toolkit.
const REMEMBERED_MAX: usize = 100;
/// The cost of the hash that is computed for an unknown user, so that the time tells nothing; the usual one.
const UNKNOWN_USER_COST: u32 = 10;

/// Lets a request through, or answers it.
pub(crate) async fn guard(watch: Arc<WebConfigWatch>, request: Request, next: Next) -> Response<Body> {
    let in_force = watch.current();
    let refusal = match &in_force.bucket {
        Some(bucket) if !bucket.take(Instant::now()) => {
            Some(plain_error(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests"))
        }
        _ => None,
    };
    let refusal = match (&in_force.credentials, refusal) {
        (Some(credentials), None) => credentials.refusal(request.headers()).await,
        (_, refusal) => refusal,
    };
    let mut response = match refusal {
        Some(refusal) => refusal,
        None => next.run(request).await,
    };
    for (name, value) in &in_force.headers {
        response.headers_mut().insert(name, value.clone());
    }
    response
}

/// Users and their passwords.
///
/// A bcrypt comparison takes a tenth of a second on purpose. So outcomes are remembered, by a keyed hash of
/// 128 bits of user, password and stored hash, and only one comparison runs at a time: guessing must not keep
/// the server from its work.
#[derive(Debug)]
pub(crate) struct Credentials {
    users: Arc<BTreeMap<String, String>>,
    keys: [RandomState; 2],
    remembered: Arc<Mutex<HashMap<[u64; 2], bool>>>,
    comparing: tokio::sync::Mutex<()>,
}

impl Credentials {
    /// `None` if there are no users: then nobody is asked.
    pub(super) fn new(users: BTreeMap<String, String>) -> Option<Self> {
        let keys = [RandomState::new(), RandomState::new()];
        let is_empty = users.is_empty();
        let users = Arc::new(users);
        let remembered = Arc::default();
        (!is_empty).then(|| Credentials { users, keys, remembered, comparing: tokio::sync::Mutex::new(()) })
    }

    async fn refusal(&self, headers: &HeaderMap) -> Option<Response<Body>> {
        if let Some((user, password)) = basic_credentials(headers)
            && self.are_good(user, password).await
        {
            return None;
        }
        let mut response = plain_error(StatusCode::UNAUTHORIZED, "Unauthorized");
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
        Some(response)
    }

    async fn are_good(&self, user: String, password: String) -> bool {
        let hash = self.users.get(&user).cloned();
        let key = self.keys.each_ref().map(|keys| keys.hash_one((&user, &hash, &password)));
        if let Some(outcome) = self.outcome(&key) {
            return outcome;
        }
        let _one_at_a_time = self.comparing.lock().await;
        if let Some(outcome) = self.outcome(&key) {
            return outcome;
        }
        let compared = tokio::task::spawn_blocking(move || match hash {
            Some(hash) => bcrypt::verify(password, &hash).unwrap_or(false),
            None => bcrypt::hash(password, UNKNOWN_USER_COST).is_err(),
        });
        // Hashing fails for passwords beyond what bcrypt takes; they are nobody's.
        let is_good = compared.await.unwrap_or(false) && self.users.contains_key(&user);
        let mut remembered = self.remembered.lock();
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(key, is_good);
        is_good
    }

    fn outcome(&self, key: &[u64; 2]) -> Option<bool> {
        self.remembered.lock().get(key).copied()
    }
}

/// User and password of `Authorization: Basic …`.
fn basic_credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// A bucket of tokens: every request takes one, and one comes back in every interval.
#[derive(Debug)]
pub(crate) struct Bucket {
    interval_secs: f64,
    burst: f64,
    /// Tokens, and when they were counted.
    state: Mutex<(f64, Instant)>,
}

impl Bucket {
    /// `None` if there is no limit.
    pub(super) fn new(limit: RateLimit) -> Option<Self> {
        let interval_secs = limit.interval.0.as_secs_f64();
        let burst = f64::from(limit.burst);
        let state = Mutex::new((burst, Instant::now()));
        (interval_secs > 0.0).then_some(Bucket { interval_secs, burst, state })
    }

    /// Takes a token if there is one.
    fn take(&self, now: Instant) -> bool {
        let mut state = self.state.lock();
        let returned = now.saturating_duration_since(state.1).as_secs_f64() / self.interval_secs;
        *state = ((state.0 + returned).min(self.burst), now);
        let is_there = state.0 >= 1.0;
        if is_there {
            state.0 -= 1.0;
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::duration::PromDuration;

    use super::*;

    #[test]
    fn a_bucket_lets_a_burst_through_and_then_one_in_each_interval() {
        let bucket = Bucket::new(RateLimit { interval: PromDuration::from_secs(10), burst: 2 }).unwrap();
        let begin = Instant::now();
        let at = |secs| bucket.take(begin + Duration::from_secs(secs));
        assert_eq!([at(0), at(0), at(0)], [true, true, false]);
        assert_eq!([at(11), at(12), at(22)], [true, false, true]);
        assert!(Bucket::new(RateLimit::default()).is_none());
    }

    #[tokio::test]
    async fn passwords_are_checked_and_remembered() {
        let hash = bcrypt::hash("secret", 4).unwrap();
        let credentials = Credentials::new(BTreeMap::from([("alice".to_owned(), hash)])).unwrap();
        for _ in 0..2 {
            for (user, password, good) in
                [("alice", "secret", true), ("alice", "wrong", false), ("bob", "secret", false)]
            {
                assert_eq!(
                    credentials.are_good(user.into(), password.into()).await,
                    good,
                    "{user}:{password}"
                );
            }
        }
        assert_eq!(credentials.remembered.lock().len(), 3);
    }
}
