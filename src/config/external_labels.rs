//! `global.external_labels`: values with variables of the environment, as the reference expands them.

use std::collections::BTreeMap;

/// Where the value of a variable comes from; the program's environment but in tests.
pub(crate) type Environment = dyn Fn(&str) -> Option<String>;

/// Expands `$NAME` and `${NAME}` in the values; `$$` is a dollar sign. A variable that isn't set, or is empty,
/// is nothing, with a warning.
pub(super) fn expand(
    labels: &BTreeMap<String, String>,
    environment: &Environment,
    warnings: &mut Vec<String>,
) -> BTreeMap<String, String> {
    let expand_one = |value: &String| expand_value(value, environment, warnings);
    labels.keys().cloned().zip(labels.values().map(expand_one)).collect()
}

fn expand_value(value: &str, environment: &Environment, warnings: &mut Vec<String>) -> String {
    let mut expanded = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let (name, tail) = variable(after);
        rest = tail;
        match name {
            "" => {}
            "$" => expanded.push('$'),
            name => match environment(name).filter(|value| !value.is_empty()) {
                Some(value) => expanded.push_str(&value),
                None => warnings.push(format!("environment variable {name:?} of an external label is empty")),
            },
        }
    }
    expanded.push_str(rest);
    expanded
}

/// Splits what follows a dollar sign into the variable's name and the rest, as Go's `os.Expand` does: in
/// braces, one special character, or letters, digits and underscores.
fn variable(text: &str) -> (&str, &str) {
    if let Some((name, tail)) = text.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
        return (name, tail);
    }
    let special = text.starts_with(|c: char| c.is_ascii_digit() || "*#$@!?-".contains(c));
    let len = if special {
        1
    } else {
        text.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count()
    };
    text.split_at(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_expanded_from_the_environment() {
        let environment = |name: &str| (name == "ZONE").then(|| "b".to_owned());
        for (value, expanded, warned) in [
            ("plain", "plain", 0),
            ("a-$ZONE", "a-b", 0),
            ("${ZONE}x", "bx", 0),
            ("$ZONEx", "", 1),
            ("$$ZONE", "$ZONE", 0),
            ("${NONE}!", "!", 1),
            ("100$", "100", 0),
        ] {
            let mut warnings = Vec::new();
            assert_eq!(expand_value(value, &environment, &mut warnings), expanded, "{value}");
            assert_eq!(warnings.len(), warned, "{value}");
        }
    }
}
