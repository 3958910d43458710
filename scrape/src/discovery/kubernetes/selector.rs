//! Selectors: the server evaluates them; here they are only looked over, so that a slip of the pen is told when the
//! configuration is read.

/// `field=value`, `field==value` or `field!=value`, separated by commas.
pub(super) fn check_fields(selector: &str) -> Result<(), String> {
    for term in selector.split(',').filter(|term| !term.is_empty()) {
        if !term.contains('=') {
            return Err(format!("invalid selector: '{selector}'; can't understand '{term}'"));
        }
    }
    Ok(())
}

/// Requirements separated by commas, as of `kubectl -l`.
pub(super) fn check_labels(selector: &str) -> Result<(), String> {
    if selector.trim().is_empty() {
        return Ok(());
    }
    let requirements = requirements(selector);
    let requirements =
        requirements.ok_or_else(|| format!("unable to parse selector {selector:?}: unbalanced brackets"))?;
    for requirement in requirements {
        if !is_requirement(requirement.trim()) {
            return Err(format!("unable to parse requirement {requirement:?} of selector {selector:?}"));
        }
    }
    Ok(())
}

/// Splits at the commas outside brackets; nothing if those don't match.
fn requirements(selector: &str) -> Option<Vec<&str>> {
    let mut requirements = Vec::new();
    let (mut start, mut is_inside) = (0, false);
    for (at, c) in selector.char_indices() {
        match c {
            '(' if !is_inside => is_inside = true,
            ')' if is_inside => is_inside = false,
            '(' | ')' => return None,
            ',' if !is_inside => {
                requirements.push(&selector[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    requirements.push(&selector[start..]);
    (!is_inside).then_some(requirements)
}

/// `key`, `!key`, `key=value`, `key==value`, `key!=value`, `key in (…)`, `key notin (…)`, `key>1` or `key<1`.
fn is_requirement(text: &str) -> bool {
    if let Some(key) = text.strip_prefix('!') {
        return is_key(key.trim());
    }
    if let Some((left, values)) = text.split_once('(') {
        let Some(values) = values.strip_suffix(')') else { return false };
        let mut words = left.split_whitespace();
        let (key, operator, more) = (words.next(), words.next(), words.next());
        return key.is_some_and(is_key)
            && matches!(operator, Some("in" | "notin"))
            && more.is_none()
            && values.split(',').all(|value| is_value(value.trim()));
    }
    for operator in ["!=", "==", "="] {
        if let Some((key, value)) = text.split_once(operator) {
            return is_key(key.trim()) && is_value(value.trim());
        }
    }
    match text.split_once(['<', '>']) {
        Some((key, number)) => is_key(key.trim()) && number.trim().parse::<i64>().is_ok(),
        None => is_key(text),
    }
}

/// A name, perhaps after a domain and a slash.
fn is_key(key: &str) -> bool {
    let name = key.rsplit_once('/').map_or(key, |(domain, name)| if domain.is_empty() { "" } else { name });
    !name.is_empty() && is_value(name) && key.matches('/').count() <= 1
}

fn is_value(value: &str) -> bool {
    value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_of_kubernetes_are_taken_and_others_are_not() {
        for selector in [
            "",
            "a",
            "!a",
            "a=b",
            "a==b,c!=d",
            "x.y/z in (a, b),q notin (c)",
            "a=",
            "n>1",
            " a = b , c",
            "a in ()",
        ] {
            assert_eq!(check_labels(selector), Ok(()), "{selector}");
        }
        for selector in
            ["a b", "a=b c", "a in b", "a in (b", "(a)", "=b", "a,,b", "/a", "a/b/c", "n>x", "a=$"]
        {
            assert!(check_labels(selector).is_err(), "{selector}");
        }
        assert!(check_fields("metadata.name=x,status.phase!=Running,a==b").is_ok());
        assert!(check_fields("metadata.name").is_err());
    }
}
