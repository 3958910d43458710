//! Writing a checkpoint, while commits go on.

use std::io;
use std::path::Path;
use std::sync::Arc;

use model::storage::StorageError;

use super::state::put_state;
use super::{
    HEADER_BYTES, KIND_END, KIND_EXEMPLARS, KIND_FAMILIES, KIND_HEADER, KIND_PAGE, KIND_TOMBSTONES, MAGIC,
    NAME_PREFIX, TEMPORARY_SUFFIX, VERSION, list,
};
use crate::block::tombstones::Interval;
use crate::codec::put_varint;
use crate::fs::{Fs, FsFile};
use crate::head::Head;
use crate::head::series::Record;
use crate::head::shard::{PAGE_SERIES, SHARDS};
use crate::wal::{frame, record};

/// Frames are gathered to this size for a write.
const WRITE_BYTES: usize = 1 << 20;

/// Writes the head as a checkpoint and drops the log before it.
pub(crate) fn write(head: &Head, fs: &dyn Fs, dir: &Path) -> Result<(), StorageError> {
    let error = |what: &str, source: io::Error| StorageError::Io {
        what: format!("{what} checkpoint in {}", dir.display()),
        source: Arc::new(source),
    };
    head.metrics.checkpoint_creations.inc();
    let first_segment = head.wal.rotate()?;
    let number = list(fs, dir).map_err(|e| error("list", e))?.last().map_or(1, |(number, _)| number + 1);
    let path = dir.join(format!("{NAME_PREFIX}{number:08}"));
    let temporary = dir.join(format!("{NAME_PREFIX}{number:08}{TEMPORARY_SUFFIX}"));
    let written = write_file(head, fs, &temporary)
        .and_then(|()| head.chunks.sync())
        .and_then(|()| fs.rename(&temporary, &path))
        .and_then(|()| fs.sync_dir(dir));
    if let Err(source) = written {
        head.metrics.checkpoint_creations_failed.inc();
        // What is left of it takes room that may be what is short.
        let _ = fs.remove_file(&temporary);
        return Err(error("write", source));
    }
    remove_old(head, fs, dir, number, first_segment).map_err(|e| error("remove what is older than", e))
}

fn remove_old(head: &Head, fs: &dyn Fs, dir: &Path, number: u32, first_segment: u32) -> io::Result<()> {
    head.metrics.wal_truncations.inc();
    let removed = head.wal.remove_before(first_segment, head.followers.oldest());
    removed.inspect_err(|_| head.metrics.wal_truncations_failed.inc())?;
    for (older, path) in list(fs, dir)?.into_iter().filter(|(older, _)| *older < number) {
        head.metrics.checkpoint_deletions.inc();
        fs.remove_file(&path).inspect_err(|error| {
            head.metrics.checkpoint_deletions_failed.inc();
            tracing::warn!(checkpoint = older, %error, "old checkpoint can't be removed");
        })?;
    }
    Ok(())
}

/// Gathers frames and writes them.
struct Writer {
    file: Box<dyn FsFile>,
    frames: u64,
    gathered: Vec<u8>,
}

impl Writer {
    fn put(&mut self, payload: &[u8]) -> io::Result<()> {
        frame::put(&mut self.gathered, self.frames, payload);
        self.frames += 1;
        if self.gathered.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.append(&self.gathered)?;
        self.gathered.clear();
        Ok(())
    }
}

fn write_file(head: &Head, fs: &dyn Fs, path: &Path) -> io::Result<()> {
    let mut gathered = MAGIC.to_vec();
    gathered.resize(HEADER_BYTES, 0);
    gathered[MAGIC.len()] = VERSION;
    let mut writer = Writer { file: fs.create(path)?, frames: 0, gathered };
    let mut payload = vec![KIND_HEADER];
    payload.extend_from_slice(&head.wal.number().to_be_bytes());
    put_varint(&mut payload, head.bounds.truncated());
    put_varint(&mut payload, head.rules.range_ms);
    writer.put(&payload)?;
    let mut page = 0;
    // Series may be added meanwhile: those of later pages are in later frames of the log.
    while page * PAGE_SERIES < head.index.read().id_end() as usize {
        payload.clear();
        put_page(head, page, &mut payload);
        writer.put(&payload)?;
        page += 1;
    }
    for (kind, put) in [
        (KIND_TOMBSTONES, put_tombstones as fn(&Head, &mut Vec<u8>)),
        (KIND_EXEMPLARS, put_exemplars),
        (KIND_FAMILIES, put_families),
    ] {
        payload.clear();
        payload.push(kind);
        put(head, &mut payload);
        writer.put(&payload)?;
    }
    payload.clear();
    payload.push(KIND_END);
    writer.put(&payload)?;
    writer.flush()?;
    writer.file.sync_data()
}

fn put_tombstones(head: &Head, out: &mut Vec<u8>) {
    let tombstones = Arc::clone(&head.tombstones.read());
    let all: Vec<(u32, Interval)> = tombstones
        .iter()
        .flat_map(|(id, intervals)| intervals.iter().map(move |interval| (id as u32, *interval)))
        .collect();
    record::put_tombstones(out, &all);
}

fn put_exemplars(head: &Head, out: &mut Vec<u8>) {
    head.exemplars.lock().put(out);
}

fn put_families(head: &Head, out: &mut Vec<u8>) {
    record::put_families(out, head.families.lock().announced());
}

fn put_page(head: &Head, page: usize, out: &mut Vec<u8>) {
    let index = head.index.read();
    let shard = head.shards[page % SHARDS].lock();
    // All frames that touch this shard are in memory too, while its lock is held.
    let covered = head.wal.number();
    let first = (page * PAGE_SERIES) as u32;
    let end = index.id_end().min(first + PAGE_SERIES as u32);
    let mut states = Vec::new();
    let mut ids = Vec::new();
    for id in first..end {
        let record = *shard.record(id);
        if record.has(Record::LOGGED) {
            ids.push((id, record.generation));
            put_state(&mut states, &shard, id, &record);
        }
    }
    let families = head.families_of(&shard, ids.iter().map(|(id, _)| *id));
    drop(shard);
    out.push(KIND_PAGE);
    out.extend_from_slice(&(page as u32).to_be_bytes());
    out.extend_from_slice(&covered.to_be_bytes());
    let labels: Vec<_> = ids.iter().map(|(id, generation)| (*id, *generation, index.labels(*id))).collect();
    drop(index);
    let len_at = out.len();
    out.extend([0; 4]);
    record::put_series(out, labels.len(), labels.iter().map(|(id, generation, l)| (*id, *generation, l)));
    let len = (out.len() - len_at - 4) as u32;
    out[len_at..len_at + 4].copy_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&states);
    record::put_metadata(out, &families);
}
