//! How well a text fits what somebody typed, from 0 (not at all) to 1.

/// What a match loses that stands at the very end instead of the beginning.
const DISTANCE_WEIGHT: f64 = 0.9;
/// How many leading characters in common are rewarded by Jaro-Winkler, and by how much each.
const WINKLER_PREFIX_MAX: usize = 4;
const WINKLER_WEIGHT: f64 = 0.1;

/// The score of `text` if it contains `query`: 1 at the beginning, less the further behind.
pub(super) fn substring(query: &str, text: &str) -> Option<f64> {
    let at = text.find(query)?;
    if at == 0 {
        return Some(1.0);
    }
    let position = text[..at].chars().count() as f64;
    let room = (text.chars().count() - query.chars().count()) as f64;
    Some(1.0 - DISTANCE_WEIGHT * position / room)
}

/// The score of `text` if the characters of `query` occur in it in order: the longer the runs, the higher;
/// gaps cost a little. The best over all places where the first character occurs.
pub(super) fn subsequence(query: &str, text: &str) -> f64 {
    let query: Vec<char> = query.chars().collect();
    let text: Vec<char> = text.chars().collect();
    if query.is_empty() || text.starts_with(&query) {
        return 1.0;
    }
    let begins = (0..text.len()).filter(|at| text[*at] == query[0]);
    begins.map_while(|at| subsequence_from(&query, &text, at)).fold(0.0, f64::max)
}

/// The score with the first character of `query` at `begin`; `None` if the rest doesn't follow.
fn subsequence_from(query: &[char], text: &[char], begin: usize) -> Option<f64> {
    let length = text.len() as f64;
    let mut runs = 0.0;
    let mut gaps = begin as f64;
    let mut run = 0.0;
    let mut at = begin;
    for wanted in query {
        let skipped = text[at..].iter().position(|c| c == wanted)?;
        if skipped > 0 {
            runs += run * run;
            run = 0.0;
            gaps += skipped as f64;
        }
        run += 1.0;
        at += skipped + 1;
    }
    runs += run * run;
    let trailing = (text.len() - at) as f64;
    let penalty = gaps / length + trailing / (2.0 * length);
    Some(((runs - penalty) / (query.len() * query.len()) as f64).clamp(0.0, 1.0))
}

/// The Jaro-Winkler similarity.
pub(super) fn jaro_winkler(a: &str, b: &str) -> f64 {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let jaro = jaro(&a, &b);
    let prefix = a.iter().zip(&b).take(WINKLER_PREFIX_MAX).take_while(|(x, y)| x == y).count();
    jaro + prefix as f64 * WINKLER_WEIGHT * (1.0 - jaro)
}

fn jaro(a: &[char], b: &[char]) -> f64 {
    if a.is_empty() || b.is_empty() {
        return if a.len() == b.len() { 1.0 } else { 0.0 };
    }
    let window = (a.len().max(b.len()) / 2).saturating_sub(1);
    let mut taken = vec![false; b.len()];
    let mut matched_a = Vec::new();
    for (i, c) in a.iter().enumerate() {
        let reach = i.saturating_sub(window)..(i + window + 1).min(b.len());
        if let Some(j) = reach.into_iter().find(|j| !taken[*j] && b[*j] == *c) {
            taken[j] = true;
            matched_a.push(*c);
        }
    }
    if matched_a.is_empty() {
        return 0.0;
    }
    let matched_b = b.iter().zip(&taken).filter(|(_, taken)| **taken).map(|(c, _)| *c);
    let transposed = matched_a.iter().zip(matched_b).filter(|(x, y)| **x != *y).count() / 2;
    let matches = matched_a.len() as f64;
    (matches / a.len() as f64 + matches / b.len() as f64 + (matches - transposed as f64) / matches) / 3.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-3
    }

    #[test]
    fn known_similarities_are_found() {
        for (a, b, score) in [
            ("MARTHA", "MARHTA", 0.961),
            ("DIXON", "DICKSONX", 0.813),
            ("DWAYNE", "DUANE", 0.840),
            ("a", "b", 0.0),
        ] {
            assert!(close(jaro_winkler(a, b), score), "{a} {b}: {}", jaro_winkler(a, b));
        }
        assert_eq!(substring("up", "up"), Some(1.0));
        assert_eq!(substring("up", "xup"), Some(1.0 - 0.9));
        assert_eq!(substring("up", "xupx"), Some(1.0 - 0.45));
        assert_eq!(substring("up", "x"), None);
        assert_eq!(
            subsequence("htp", "http_requests"),
            subsequence_from(&['h', 't', 'p'], &"http_requests".chars().collect::<Vec<_>>(), 0).unwrap()
        );
        assert_eq!(subsequence("xyz", "http"), 0.0);
    }

    proptest! {
        #[test]
        fn every_score_is_between_0_and_1_and_a_text_fits_itself(a in "[abc]{1,8}", b in "[abc]{0,12}") {
            for score in [subsequence(&a, &b), jaro_winkler(&a, &b), substring(&a, &b).unwrap_or(0.0)] {
                prop_assert!((0.0..=1.0).contains(&score), "{score}");
            }
            prop_assert_eq!(subsequence(&a, &a), 1.0);
            prop_assert!(close(jaro_winkler(&a, &a), 1.0));
        }
    }
}
