//! Long queries may be tall trees, and everybody who walks a tree calls himself once a level: they get a stack
//! of their own.

use super::QueryError;

/// A query of fewer bytes is no tall tree: a level of one takes a few bytes to write.
pub(super) const SHORT_QUERY_BYTES_MAX: usize = 1_000;
/// Enough for the highest tree that the parser lets pass, without optimisation.
pub(super) const TALL_STACK_BYTES: usize = 64 << 20;

/// Does the work, for a long query on a thread with a large stack.
pub(super) fn with_room_for<T: Send>(
    query: &str,
    work: impl FnOnce() -> Result<T, QueryError> + Send,
) -> Result<T, QueryError> {
    if query.len() <= SHORT_QUERY_BYTES_MAX {
        return work();
    }
    let failed = |what: &str| QueryError::Execution(format!("evaluation of a long query {what}"));
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("long-query".to_owned());
        match builder.stack_size(TALL_STACK_BYTES).spawn_scoped(scope, work) {
            Ok(thread) => thread.join().unwrap_or_else(|_| Err(failed("panicked"))),
            Err(error) => Err(failed(&format!("got no thread: {error}"))),
        }
    })
}
