//! Templates: texts with places for what groups matched, as Go's `Regexp.Expand` reads them.
//!
//! `$name` takes the longest name there is (`$1x` is the group named `1x`, which no expression has), `${name}` as
//! long as the braces say, `$$` is a dollar sign, and a dollar sign before anything else is itself. A group that
//! isn't there or took no part is empty.

/// Appends the template with its places filled. `group` gives the text of a group by name or number.
pub(super) fn expand<'t>(template: &str, out: &mut String, group: impl Fn(&str) -> Option<&'t str>) {
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        rest = match place(after) {
            Place::Dollar(after) => {
                out.push('$');
                after
            }
            Place::Group(name, after) => {
                out.push_str(group(name).unwrap_or_default());
                after
            }
        };
    }
    out.push_str(rest);
}

/// What a dollar sign stands for, and what follows it.
enum Place<'a> {
    Dollar(&'a str),
    Group(&'a str, &'a str),
}

fn place(after: &str) -> Place<'_> {
    if let Some(after) = after.strip_prefix('$') {
        return Place::Dollar(after);
    }
    let braced = after.strip_prefix('{');
    let text = braced.unwrap_or(after);
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    match (braced, rest.strip_prefix('}')) {
        _ if name.is_empty() => Place::Dollar(after),
        (Some(_), Some(rest)) => Place::Group(name, rest),
        (Some(_), None) => Place::Dollar(after),
        (None, _) => Place::Group(name, rest),
    }
}

/// The number that a name is, if it is one: digits without a leading zero.
pub(super) fn index(name: &str) -> Option<usize> {
    let digits = name.bytes().all(|b| b.is_ascii_digit()) && (name.len() == 1 || !name.starts_with('0'));
    if digits { name.parse().ok() } else { None }
}
