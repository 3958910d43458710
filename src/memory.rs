//! How much memory this process may take: the machine's, or that of the control groups it is in.

use std::path::{Path, PathBuf};

use model::byte_size::ByteSize;

/// What of the memory one query may take by default: a quarter.
const SHARE_OF_QUERY: u64 = 4;
/// What of the memory all queries may take together by default: a half. The other is for ingestion and caches.
const SHARE_OF_QUERIES: u64 = 2;

const MIB: u64 = 1 << 20;

/// Memory that queries may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueryMemory {
    /// One query.
    pub(crate) each: ByteSize,
    /// All that run.
    pub(crate) total: ByteSize,
}

impl QueryMemory {
    /// The default on this machine; without limits if its memory can't be told.
    pub(crate) fn of_machine() -> Self {
        let available = available_bytes(Path::new("/")).unwrap_or(0);
        // Whole MiB, which are easier to read.
        let share = |parts: u64| ByteSize(available / parts / MIB * MIB);
        QueryMemory { each: share(SHARE_OF_QUERY), total: share(SHARE_OF_QUERIES) }
    }
}

/// The least of the machine's memory and of the limits of the process's control groups, below a root.
fn available_bytes(root: &Path) -> Option<u64> {
    let machine = total_bytes(&std::fs::read_to_string(root.join("proc/meminfo")).ok()?)?;
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = limit_files(root, &groups).into_iter().filter_map(|file| {
        // `max`, which isn't a number, is no limit.
        std::fs::read_to_string(file).ok()?.trim().parse::<u64>().ok()
    });
    Some(limits.fold(machine, u64::min))
}

/// `MemTotal:       16316412 kB`
fn total_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? << 10)
}

/// The files in which the limits of the groups, and of those around them, would stand. Of version 2 a line is
/// `0::/path`, of version 1 `4:memory:/path`.
fn limit_files(root: &Path, groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let (mount, name) = match controllers {
            "" => ("sys/fs/cgroup", "memory.max"),
            list if list.split(',').any(|one| one == "memory") => {
                ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let path = Path::new(path.trim_start_matches('/'));
        files.extend(path.ancestors().map(|group| root.join(mount).join(group).join(name)));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn available(files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        available_bytes(root.path())
    }

    #[test]
    fn the_narrowest_limit_counts() {
        let machine = ("proc/meminfo", "MemTotal:       2048 kB\nMemFree:  1 kB\n");
        let groups = ("proc/self/cgroup", "0::/a/b\n");
        assert_eq!(available(&[]), None);
        assert_eq!(available(&[machine]), Some(2 << 20));
        assert_eq!(available(&[machine, groups, ("sys/fs/cgroup/a/memory.max", "max\n")]), Some(2 << 20));
        assert_eq!(available(&[machine, groups, ("sys/fs/cgroup/a/memory.max", "1000\n")]), Some(1000));
        assert_eq!(
            available(&[
                machine,
                groups,
                ("sys/fs/cgroup/a/memory.max", "1000\n"),
                ("sys/fs/cgroup/a/b/memory.max", "500\n")
            ]),
            Some(500)
        );
        assert_eq!(
            available(&[
                machine,
                ("proc/self/cgroup", "5:cpu:/\n4:memory,x:/c\n"),
                ("sys/fs/cgroup/memory/c/memory.limit_in_bytes", "9223372036854771712\n"),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "4096\n"),
            ]),
            Some(4096)
        );
    }
}
