//! Queries that were parsed before: dashboards and rules ask the same ones again and again.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::stack::SHORT_QUERY_BYTES_MAX;
use crate::ast::Expr;

/// Queries that are remembered. More than a rule file and a few dashboards have.
const QUERIES_MAX: usize = 1024;
/// Syntax trees by query, of short queries: all together they take a few MiB, and no stack is too small to
/// drop them on. They hold what their matchers' expressions were compiled to.
#[derive(Debug, Default)]
pub(super) struct ParsedQueries(Mutex<HashMap<String, Arc<Expr>>>);

impl ParsedQueries {
    /// The tree of a query, which is parsed if it isn't known. Errors aren't remembered.
    pub(super) fn get_or_parse<E>(
        &self,
        query: &str,
        parse: impl FnOnce() -> Result<Expr, E>,
    ) -> Result<Arc<Expr>, E> {
        if let Some(expr) = self.0.lock().get(query) {
            return Ok(Arc::clone(expr));
        }
        let expr = Arc::new(parse()?);
        if query.len() <= SHORT_QUERY_BYTES_MAX {
            let mut known = self.0.lock();
            // Whoever asks a thousand different queries asks the next thousand too: the old ones go at once.
            if known.len() >= QUERIES_MAX {
                known.clear();
            }
            known.insert(query.to_owned(), Arc::clone(&expr));
        }
        Ok(expr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::Features;
    use crate::parse::parse;

    #[test]
    fn a_query_is_parsed_once_and_errors_are_told_again() {
        let (parsed, features) = (ParsedQueries::default(), Features::default());
        let first = parsed.get_or_parse("up + 1", || parse("up + 1", &features)).unwrap();
        let second = parsed.get_or_parse("up + 1", || parse("never", &features)).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        for _ in 0..2 {
            assert!(parsed.get_or_parse("up +", || parse("up +", &features)).is_err());
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (parsed, features) = (ParsedQueries::default(), Features::default());
        for i in 0..3 * QUERIES_MAX {
            let query = format!("up + {i}");
            parsed.get_or_parse(&query, || parse(&query, &features)).unwrap();
            assert!(parsed.0.lock().len() <= QUERIES_MAX);
        }
        parsed.0.lock().clear();
        let long = format!("up{{a=\"{}\"}}", "x".repeat(SHORT_QUERY_BYTES_MAX));
        parsed.get_or_parse(&long, || parse(&long, &features)).unwrap();
        assert!(parsed.0.lock().is_empty());
    }
}
