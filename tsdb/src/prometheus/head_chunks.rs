//! Reading Prometheus's files of full chunks of its head.
//!
//! ```text
//! chunks_head/NNNNNN   magic 0x0130bc91 │ version 1 │ 3×0 │ chunk* │ zeros
//! chunk                series ref u64 │ min time i64 │ max time i64 │ encoding u8, bit 7: came out of order
//!                      │ len uvarint │ samples, len bytes │ CRC-32C of all before it u32
//! ```
//!
//! Integers are big-endian. Source: tsdb/chunks/head_chunks.go of Prometheus 3.14.

use crate::chunk::Encoding;
use crate::codec::{Cursor, DecodeError};

const MAGIC: u32 = 0x0130_bc91;
const VERSION: u8 = 1;
const HEADER_PADDING_BYTES: usize = 3;
const OUT_OF_ORDER: u8 = 0x80;

/// A full chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadChunk<'a> {
    /// Prometheus's ref of the series.
    pub series: u64,
    /// How the bytes are to be read.
    pub encoding: Encoding,
    /// The samples.
    pub bytes: &'a [u8],
}

/// Visits the chunks of a file, up to its end or to the first that is damaged.
///
/// # Errors
///
/// What is wrong, and where. Chunks that follow can't be found.
pub fn read<E>(
    file: &[u8],
    mut visit: impl FnMut(HeadChunk<'_>) -> Result<(), E>,
) -> Result<Result<(), DecodeError>, E> {
    let mut cursor = Cursor::new(file);
    if let Err(error) = read_header(&mut cursor) {
        // A file is made with its header; a crash may leave it empty.
        return Ok(if file.iter().all(|byte| *byte == 0) { Ok(()) } else { Err(error) });
    }
    while !cursor.is_empty() {
        match read_chunk(&mut cursor, file) {
            Ok(Some(chunk)) => visit(chunk)?,
            Ok(None) => break,
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(()))
}

fn read_header(cursor: &mut Cursor<'_>) -> Result<(), DecodeError> {
    if cursor.u32()? != MAGIC {
        return Err(DecodeError { what: "invalid magic number", at: 0 });
    }
    if cursor.u8()? != VERSION {
        return Err(DecodeError { what: "unknown version of head chunks", at: size_of_val(&MAGIC) });
    }
    cursor.take(HEADER_PADDING_BYTES).map(drop)
}

/// The next chunk; `None` where the room that was made for others begins.
fn read_chunk<'a>(cursor: &mut Cursor<'a>, file: &'a [u8]) -> Result<Option<HeadChunk<'a>>, DecodeError> {
    let begin = cursor.position();
    if file[begin..].iter().take(size_of::<u64>()).all(|byte| *byte == 0) {
        return Ok(None);
    }
    let series = cursor.u64()?;
    cursor.i64()?;
    cursor.i64()?;
    let encoding = cursor.u8()? & !OUT_OF_ORDER;
    let bytes = cursor.prefixed_bytes()?;
    let crc = crc32c::crc32c(&file[begin..cursor.position()]);
    if cursor.u32()? != crc {
        return Err(DecodeError { what: "checksum of head chunk", at: begin });
    }
    let encoding = Encoding::from_u8(encoding)
        .map_err(|_| DecodeError { what: "unknown encoding of head chunk", at: begin })?;
    Ok(Some(HeadChunk { series, encoding, bytes }))
}
