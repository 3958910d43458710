//! A simulated file system, for tests of crashes and faults.
//!
//! It keeps two images of everything: the *live* one, which the process sees, and the *durable* one, which a
//! power loss leaves: file content as of the last sync, names as of the last sync of their directory. A kill
//! of the process leaves the live image. Any call may be made to fail, once or from then on, in the ways that
//! disks do; bits of files may be flipped.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{ByteView, DirEntry, Fs, FsFile, FsLock, Space};

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `ENOSPC`, of calls that take room; a write writes half of its bytes before.
    NoSpace,
    /// `EROFS`: nothing is written.
    ReadOnly,
    /// `EIO`; nothing is written. A sync that fails so forgets what it should have synced: the next one
    /// succeeds without it.
    Io,
    /// The process is killed: this call and all later ones fail, and a write writes half of its bytes.
    Kill,
}

/// When calls fail.
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// Which call that changes something is the first to fail, counted from 0.
    at: u64,
    fault: Fault,
    /// How many calls fail.
    count: u64,
}

#[derive(Clone, Debug, Default)]
struct Node {
    live: Vec<u8>,
    /// Content that survives a power loss.
    durable: Vec<u8>,
}

#[derive(Debug, Default)]
struct State {
    nodes: BTreeMap<u64, Node>,
    next_node: u64,
    /// Live names; directories have no node.
    names: BTreeMap<PathBuf, Option<u64>>,
    /// Names that survive a power loss.
    durable_names: BTreeMap<PathBuf, Option<u64>>,
    calls: u64,
    plan: Option<Plan>,
    /// Calls that read something, and which of them fail.
    reads: u64,
    failing_reads: std::ops::Range<u64>,
    locks: Vec<PathBuf>,
}

/// See the module. Clones are the same file system.
#[derive(Clone, Debug, Default)]
pub struct SimFs(Arc<Mutex<State>>);

impl SimFs {
    /// A file system without files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes `count` calls that change something fail, from the `at`-th from now on.
    pub fn fail(&self, at: u64, fault: Fault, count: u64) {
        let mut state = self.0.lock();
        let at = state.calls + at;
        state.plan = Some(Plan { at, fault, count });
    }

    /// Makes `count` calls that read a file fail with `EIO`, from the `at`-th from now on.
    pub fn fail_reads(&self, at: u64, count: u64) {
        let mut state = self.0.lock();
        let from = state.reads + at;
        state.failing_reads = from..from.saturating_add(count);
    }

    /// How many calls that read a file there were.
    pub fn reads(&self) -> u64 {
        self.0.lock().reads
    }

    /// How many calls that change something there were.
    pub fn calls(&self) -> u64 {
        self.0.lock().calls
    }

    /// The file system as the next process finds it after a kill.
    pub fn after_kill(&self) -> SimFs {
        let state = self.0.lock();
        SimFs(Arc::new(Mutex::new(State {
            nodes: state.nodes.clone(),
            next_node: state.next_node,
            names: state.names.clone(),
            durable_names: state.durable_names.clone(),
            ..State::default()
        })))
    }

    /// The file system as the next process finds it after a power loss.
    pub fn after_power_loss(&self) -> SimFs {
        let state = self.0.lock();
        let mut nodes = state.nodes.clone();
        nodes.values_mut().for_each(|node| node.live.clone_from(&node.durable));
        let names = state.durable_names.clone();
        let next_node = state.next_node;
        let durable_names = names.clone();
        SimFs(Arc::new(Mutex::new(State { nodes, next_node, names, durable_names, ..State::default() })))
    }

    /// Paths and lengths of all files.
    pub fn files(&self) -> Vec<(PathBuf, usize)> {
        let state = self.0.lock();
        let len = |node: &u64| state.nodes[node].live.len();
        state.names.iter().filter_map(|(path, node)| Some((path.clone(), len(node.as_ref()?)))).collect()
    }

    /// Flips a bit of a file.
    pub fn flip(&self, path: &Path, byte: usize, bit: u8) {
        let mut state = self.0.lock();
        if let Ok(node) = state.node(path)
            && let Some(node) = state.nodes.get_mut(&node)
        {
            for content in [&mut node.live, &mut node.durable] {
                if let Some(found) = content.get_mut(byte) {
                    *found ^= 1 << (bit % 8);
                }
            }
        }
    }
}

impl State {
    /// Counts a call that changes something; an error if it is to fail.
    fn change(&mut self, takes_room: bool) -> Result<(), Fault> {
        let call = self.calls;
        self.calls += 1;
        match self.plan {
            Some(Plan { fault: Fault::NoSpace, .. }) if !takes_room => Ok(()),
            Some(Plan { at, fault: Fault::Kill, .. }) if call >= at => Err(Fault::Kill),
            Some(Plan { at, fault, count }) if (at..at.saturating_add(count)).contains(&call) => Err(fault),
            _ => Ok(()),
        }
    }

    /// Counts a call that reads a file.
    fn read(&mut self) -> io::Result<()> {
        let read = self.reads;
        self.reads += 1;
        if self.failing_reads.contains(&read) { Err(error(Fault::Io)) } else { Ok(()) }
    }

    fn node(&self, path: &Path) -> io::Result<u64> {
        match self.names.get(path) {
            Some(Some(node)) => Ok(*node),
            Some(None) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// An empty file.
    fn add(&mut self, path: &Path) -> u64 {
        let node = self.next_node;
        self.next_node += 1;
        self.nodes.insert(node, Node::default());
        self.names.insert(path.to_owned(), Some(node));
        node
    }

    fn require_parent(&self, path: &Path) -> io::Result<()> {
        match path.parent() {
            Some(parent) if self.names.get(parent) == Some(&None) => Ok(()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The names at and below a path.
    fn below(&self, path: &Path) -> Vec<PathBuf> {
        self.names.keys().filter(|name| name.starts_with(path)).cloned().collect()
    }
}

fn error(fault: Fault) -> io::Error {
    match fault {
        Fault::NoSpace => io::ErrorKind::StorageFull.into(),
        Fault::ReadOnly => io::ErrorKind::ReadOnlyFilesystem.into(),
        Fault::Io => io::Error::other("simulated I/O error"),
        Fault::Kill => io::Error::other("the process was killed"),
    }
}

impl Fs for SimFs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        let mut state = self.0.lock();
        state.change(true).map_err(error)?;
        state.require_parent(path)?;
        let node = match state.names.get(path) {
            Some(Some(node)) => *node,
            Some(None) => return Err(io::ErrorKind::IsADirectory.into()),
            None => state.add(path),
        };
        state.nodes.entry(node).or_default().live.clear();
        drop(state);
        Ok(Box::new(SimFile { fs: self.clone(), node }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        let mut state = self.0.lock();
        let node = state.node(path)?;
        state.read()?;
        drop(state);
        Ok(Box::new(SimFile { fs: self.clone(), node }))
    }

    fn view(&self, path: &Path) -> io::Result<ByteView> {
        let mut state = self.0.lock();
        state.read()?;
        let node = state.node(path)?;
        Ok(ByteView::from_vec(state.nodes[&node].live.clone()))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.change(false).map_err(error)?;
        state.require_parent(to)?;
        let moved = state.below(from);
        if moved.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        for name in moved {
            let rest = name.strip_prefix(from).map_err(io::Error::other)?.to_owned();
            let target = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(&rest) };
            if let Some(node) = state.names.remove(&name) {
                state.names.insert(target.clone(), node);
            }
            // What is inside a directory moves with its name.
            if !rest.as_os_str().is_empty()
                && let Some(node) = state.durable_names.get(&name).copied()
            {
                state.durable_names.insert(target, node);
            }
        }
        Ok(())
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.change(true).map_err(error)?;
        state.require_parent(to)?;
        let node = state.node(from)?;
        if state.names.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.names.insert(to.to_owned(), Some(node));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.change(false).map_err(error)?;
        state.node(path)?;
        state.names.remove(path);
        Ok(())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.change(false).map_err(error)?;
        for name in state.below(path) {
            state.names.remove(&name);
        }
        Ok(())
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        if state.names.get(path) == Some(&None) {
            return Ok(());
        }
        state.change(true).map_err(error)?;
        for dir in path.ancestors() {
            state.names.entry(dir.to_owned()).or_insert(None);
            // Directories are made when there is nothing to lose yet; they are taken to survive.
            state.durable_names.entry(dir.to_owned()).or_insert(None);
        }
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.change(false).map_err(error)?;
        let inside = |name: &Path| name.parent() == Some(path);
        let gone: Vec<PathBuf> = state
            .durable_names
            .keys()
            .filter(|name| inside(name) && !state.names.contains_key(*name))
            .cloned()
            .collect();
        for name in gone {
            state.durable_names.retain(|other, _| !other.starts_with(&name));
        }
        let there: Vec<(PathBuf, Option<u64>)> = state
            .names
            .iter()
            .filter(|(name, _)| inside(name))
            .map(|(name, node)| (name.clone(), *node))
            .collect();
        state.durable_names.extend(there);
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let state = self.0.lock();
        if state.names.get(path) != Some(&None) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = state.names.iter().filter(|(name, _)| name.parent() == Some(path));
        Ok(inside
            .map(|(name, node)| DirEntry {
                path: name.clone(),
                name: name.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                is_dir: node.is_none(),
            })
            .collect())
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        let state = self.0.lock();
        let node = state.node(path)?;
        Ok(state.nodes[&node].live.len() as u64)
    }

    fn exists(&self, path: &Path) -> bool {
        self.0.lock().names.contains_key(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn FsLock>> {
        let mut state = self.0.lock();
        if matches!(state.plan, Some(Plan { fault: Fault::ReadOnly, .. })) {
            state.change(true).map_err(error)?;
        }
        if state.locks.iter().any(|locked| locked == path) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if !state.names.contains_key(path) {
            state.add(path);
        }
        state.locks.push(path.to_owned());
        Ok(Box::new(SimLock { fs: self.clone(), path: path.to_owned() }))
    }

    fn space(&self, _: &Path) -> io::Result<Space> {
        Ok(Space { total: 1 << 40, available: 1 << 39 })
    }
}

#[derive(Debug)]
struct SimLock {
    fs: SimFs,
    path: PathBuf,
}

impl FsLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.fs.0.lock().locks.retain(|locked| *locked != self.path);
    }
}

#[derive(Debug)]
struct SimFile {
    fs: SimFs,
    node: u64,
}

impl SimFile {
    fn with<T>(&self, work: impl FnOnce(&mut Node) -> T) -> io::Result<T> {
        let mut state = self.fs.0.lock();
        state.nodes.get_mut(&self.node).map(work).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl FsFile for SimFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let changed = self.fs.0.lock().change(true);
        let written = match changed {
            Ok(()) => bytes,
            Err(Fault::Io | Fault::ReadOnly) => &[],
            Err(_) => &bytes[..bytes.len() / 2],
        };
        self.with(|node| node.live.extend_from_slice(written))?;
        changed.map_err(error)
    }

    fn read_exact_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        self.fs.0.lock().read()?;
        self.with(|node| {
            let from = usize::try_from(offset).unwrap_or(usize::MAX);
            let bytes = node.live.get(from..).and_then(|rest| rest.get(..into.len()));
            let bytes = bytes.ok_or(io::ErrorKind::UnexpectedEof)?;
            into.copy_from_slice(bytes);
            Ok(())
        })?
    }

    fn view(&self, len: u64) -> io::Result<ByteView> {
        self.fs.0.lock().read()?;
        self.with(|node| {
            let bytes = usize::try_from(len).ok().and_then(|len| node.live.get(..len));
            Ok(ByteView::from_vec(bytes.ok_or(io::ErrorKind::UnexpectedEof)?.to_vec()))
        })?
    }

    fn sync_data(&mut self) -> io::Result<()> {
        let changed = self.fs.0.lock().change(true);
        match changed {
            Ok(()) => self.with(|node| node.durable.clone_from(&node.live)),
            Err(fault) => Err(error(fault)),
        }
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.fs.0.lock().change(false).map_err(error)?;
        self.with(|node| node.live.resize(len as usize, 0))
    }

    fn len(&self) -> io::Result<u64> {
        self.with(|node| node.live.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::RealFs;

    /// What every file system does, real or simulated.
    fn behaves(fs: &dyn Fs, dir: &Path) {
        let (a, b, sub) = (dir.join("a"), dir.join("b"), dir.join("sub"));
        fs.create_dir_all(&sub).unwrap();
        let mut file = fs.create(&a).unwrap();
        file.append(b"hello").unwrap();
        file.append(b" world").unwrap();
        file.set_len(7).unwrap();
        file.append(b"!").unwrap();
        file.sync_data().unwrap();
        let mut read = [0; 4];
        fs.open(&a).unwrap().read_exact_at(&mut read, 4).unwrap();
        assert_eq!(&read, b"o w!");
        assert!(fs.open(&a).unwrap().read_exact_at(&mut read, 5).is_err());
        let (begin, nothing) = (fs.open(&a).unwrap().view(5).unwrap(), fs.open(&a).unwrap().view(0).unwrap());
        assert!(&*begin == b"hello" && nothing.is_empty() && fs.open(&a).unwrap().view(9).is_err());
        fs.hard_link(&a, &sub.join("c")).unwrap();
        fs.rename(&a, &b).unwrap();
        fs.sync_dir(dir).unwrap();
        assert!(!fs.exists(&a) && fs.exists(&b));
        let names = |dir: &Path| fs.list(dir).unwrap().into_iter().map(|e| e.name).collect::<Vec<_>>();
        assert_eq!(names(dir), ["b", "sub"]);
        fs.rename(&sub, &dir.join("moved")).unwrap();
        assert_eq!(names(&dir.join("moved")), ["c"]);
        let view = fs.view(&dir.join("moved/c")).unwrap();
        fs.remove_dir_all(&dir.join("moved")).unwrap();
        fs.remove_file(&b).unwrap();
        assert!(&*view == b"hello w!" && &*begin == b"hello");
        assert!(fs.open(&b).is_err() && fs.len(&b).is_err() && names(dir).is_empty());
        let lock = fs.lock(&dir.join("lock")).unwrap();
        assert_eq!(fs.lock(&dir.join("lock")).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(lock);
        fs.lock(&dir.join("lock")).unwrap();
    }

    #[test]
    fn the_simulated_file_system_behaves_as_the_real_one() {
        let dir = tempfile::tempdir().unwrap();
        behaves(&RealFs, dir.path());
        behaves(&SimFs::new(), Path::new("/data"));
    }

    #[test]
    fn a_power_loss_leaves_what_was_synced() {
        let fs = SimFs::new();
        let dir = Path::new("/data");
        fs.create_dir_all(dir).unwrap();
        let mut file = fs.create(&dir.join("a")).unwrap();
        file.append(b"one").unwrap();
        file.sync_data().unwrap();
        file.append(b"two").unwrap();
        assert!(!fs.after_power_loss().exists(&dir.join("a")), "the name wasn't synced");
        fs.sync_dir(dir).unwrap();
        assert_eq!(&*fs.after_power_loss().view(&dir.join("a")).unwrap(), b"one");
        assert_eq!(&*fs.after_kill().view(&dir.join("a")).unwrap(), b"onetwo");
        fs.fail(0, Fault::Io, 1);
        assert!(file.sync_data().is_err());
    }
}
