//! Makes [`StorageError`]s that name their file. The crate's errors are those of the seam, since whoever
//! reads or writes acts on nothing else.

use std::io;
use std::path::Path;
use std::sync::Arc;

use model::cancel::Cancel;
use model::storage::StorageError;

/// Bytes of `file` at `offset` that aren't what was written.
pub(crate) fn corrupt(file: &Path, offset: u64, what: impl ToString) -> StorageError {
    StorageError::Corrupt { file: file.display().to_string(), offset, what: what.to_string() }
}

/// Turns an error of the file system into one that says what was done to which file: `io("open", path)`.
pub(crate) fn io<'a>(doing: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> StorageError + 'a {
    move |source| StorageError::Io { what: format!("{doing} {}", path.display()), source: Arc::new(source) }
}

/// Input that breaks the caller's promises, as an error rather than a broken file.
pub(crate) fn invalid(doing: &str, path: &Path, why: String) -> StorageError {
    io(doing, path)(io::Error::new(io::ErrorKind::InvalidInput, why))
}

/// Ends work whose caller has gone.
pub(crate) fn check(cancel: &Cancel) -> Result<(), StorageError> {
    if cancel.is_cancelled() { Err(StorageError::Cancelled) } else { Ok(()) }
}
