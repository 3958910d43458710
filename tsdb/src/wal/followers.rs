//! Who follows the log, and how far each is done: what of the log has to be kept for them.
//!
//! ```text
//! head/followers     one frame, see `frame`: count uvarint │ (name text │ number of a frame uvarint)*
//! ```
//!
//! The file is written anew when a follower has got on, at most every second; after a crash of the process a
//! follower sees the commits of that last second twice. If the file can't be read, its followers begin anew.
//!
//! A follower asks the head for the labels of a series. Those of series that have left the head since are here,
//! from the frames of the log that say so, for as long as a follower is behind such a frame.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use model::labels::Labels;
use parking_lot::Mutex;

use super::frame::{self, Part, Parts};
use crate::codec::{Cursor, DecodeError, put_prefixed_bytes, put_uvarint};
use crate::fs::Fs;

const NAME: &str = "followers";
const TEMPORARY_NAME: &str = "followers.tmp";
/// Ended series whose labels are kept for followers that are behind: at 300 bytes each 300 MB.
const GONE_LEN_MAX: usize = 1 << 20;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Followers(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// For each follower the last frame that it is done with.
    confirmed: BTreeMap<String, u64>,
    /// Labels of series that left the head, by id and by the frame that says so.
    gone: BTreeMap<(u32, u64), Labels>,
    /// Whether the file is older than this.
    changed: bool,
}

impl Followers {
    /// Reads the file. `last` is the last frame of the log: what was confirmed beyond it was lost with a power
    /// loss, and its numbers will be used again.
    pub(crate) fn load(fs: &dyn Fs, dir: &Path, last: u64) -> io::Result<Self> {
        let path = dir.join(NAME);
        if !fs.exists(&path) {
            return Ok(Followers::default());
        }
        let bytes = fs.view(&path)?;
        let confirmed = match Parts::new(&bytes, 0).next() {
            Some(Part::Frame(frame)) => read(&frame.payload),
            _ => Err(DecodeError { what: "no frame", at: 0 }),
        };
        let mut confirmed = confirmed.unwrap_or_else(|error| {
            tracing::error!(
                file = %path.display(), %error,
                "damage on disk: followers of the log begin anew, what they haven't sent isn't sent"
            );
            BTreeMap::new()
        });
        confirmed.values_mut().for_each(|number| *number = last.min(*number));
        Ok(Followers(Mutex::new(State { confirmed, ..State::default() })))
    }

    /// Writes the file if it is out of date, and forgets series that nobody will ask for.
    pub(crate) fn save(&self, fs: &dyn Fs, dir: &Path) -> io::Result<()> {
        let mut bytes = Vec::new();
        {
            let mut state = self.0.lock();
            let oldest = state.confirmed.values().copied().min().unwrap_or(u64::MAX);
            state.gone.retain(|(_, number), _| *number > oldest);
            if !std::mem::take(&mut state.changed) {
                return Ok(());
            }
            frame::put(&mut bytes, 0, &payload(&state.confirmed));
        }
        let temporary = dir.join(TEMPORARY_NAME);
        let written = fs.create(&temporary).and_then(|mut file| {
            file.append(&bytes)?;
            file.sync_data()
        });
        let replaced =
            written.and_then(|()| fs.rename(&temporary, &dir.join(NAME))).and_then(|()| fs.sync_dir(dir));
        replaced.inspect_err(|_| self.0.lock().changed = true)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().confirmed.is_empty()
    }

    /// Where a follower goes on: behind this frame. A new one begins behind `last`.
    pub(crate) fn begin(&self, name: &str, last: u64) -> u64 {
        let mut state = self.0.lock();
        if let Some(number) = state.confirmed.get(name) {
            return *number;
        }
        state.confirmed.insert(name.to_owned(), last);
        state.changed = true;
        last
    }

    /// Notes that a follower is done with a frame and those before it.
    pub(crate) fn confirm(&self, name: &str, number: u64) {
        let mut state = self.0.lock();
        if let Some(confirmed) = state.confirmed.get_mut(name).filter(|confirmed| **confirmed < number) {
            *confirmed = number;
            state.changed = true;
        }
    }

    /// Forgets the followers with other names.
    pub(crate) fn keep(&self, names: &[&str]) {
        let mut state = self.0.lock();
        let before = state.confirmed.len();
        state.confirmed.retain(|name, _| names.contains(&name.as_str()));
        state.changed |= state.confirmed.len() != before;
    }

    /// The last frame that all are done with; `None` if there is nobody.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.0.lock().confirmed.values().copied().min()
    }

    /// Notes a series that left the head.
    pub(crate) fn add_gone(&self, id: u32, number: u64, labels: Labels) {
        let mut state = self.0.lock();
        if state.gone.len() < GONE_LEN_MAX {
            state.gone.insert((id, number), labels);
        }
    }

    /// The labels that an id had at a frame, if its series has left the head since.
    pub(crate) fn find_gone(&self, id: u32, number: u64) -> Option<Labels> {
        let state = self.0.lock();
        let mut later = state.gone.range((id, number.saturating_add(1))..=(id, u64::MAX));
        later.next().map(|(_, labels)| labels.clone())
    }
}

fn payload(confirmed: &BTreeMap<String, u64>) -> Vec<u8> {
    let mut out = Vec::new();
    put_uvarint(&mut out, confirmed.len() as u64);
    for (name, number) in confirmed {
        put_prefixed_bytes(&mut out, name.as_bytes());
        put_uvarint(&mut out, *number);
    }
    out
}

fn read(payload: &[u8]) -> Result<BTreeMap<String, u64>, DecodeError> {
    let mut cursor = Cursor::new(payload);
    let mut confirmed = BTreeMap::new();
    for _ in 0..cursor.uvarint()? {
        confirmed.insert(cursor.text()?.to_owned(), cursor.uvarint()?);
    }
    Ok(confirmed)
}
