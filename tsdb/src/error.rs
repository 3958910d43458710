//! Makes [`StorageError`]s that name their file. The crate's errors are those of the seam, since whoever
//! reads or writes acts on nothing else.

use model::cancel::Cancel;
use model::storage::StorageError;

/// Ends work whose caller has gone.
pub(crate) fn check(cancel: &Cancel) -> Result<(), StorageError> {
    if cancel.is_cancelled() { Err(StorageError::Cancelled) } else { Ok(()) }
}
