//! The parameter `match[]`.

use model::matcher::Matcher;
use promql::parse::parse_selector;

/// Parses selectors, each of which must ask for something.
pub(crate) fn parse_all<'a>(selectors: impl Iterator<Item = &'a str>) -> Result<Vec<Vec<Matcher>>, String> {
    selectors
        .map(|selector| {
            let matchers = parse_selector(selector).map_err(|error| error.to_string())?;
            if matchers.iter().all(Matcher::matches_empty) {
                return Err("match[] must contain at least one non-empty matcher".to_owned());
            }
            Ok(matchers)
        })
        .collect()
}
