use proptest::prelude::*;

use super::*;

/// A rule of `field: value` pairs.
fn rule(fields: &[(&str, &str)]) -> Result<Config, RelabelError> {
    let mut written = Written::default();
    for (field, value) in fields {
        let value = (*value).to_owned();
        match *field {
            "source_labels" => written.source_labels = Some(value.split(',').map(str::to_owned).collect()),
            "separator" => written.separator = Some(value),
            "regex" => written.regex = Some(value),
            "modulus" => written.modulus = value.parse().ok(),
            "target_label" => written.target_label = Some(value),
            "replacement" => written.replacement = Some(value),
            "action" => written.action = Some(value),
            other => panic!("no field {other}"),
        }
    }
    Config::try_from(written)
}

/// What one rule makes of labels; `None` if they are dropped.
fn relabel(fields: &[(&str, &str)], labels: &[(&str, &str)]) -> Option<String> {
    let mut builder = LabelsBuilder::from_labels(&Labels::from_pairs(labels.iter().copied()));
    process(&[rule(fields).unwrap()], &mut builder).then(|| builder.build().to_string())
}

/// Fields of a rule, labels before it, labels after it.
type Case =
    (&'static [(&'static str, &'static str)], &'static [(&'static str, &'static str)], Option<&'static str>);

#[test]
fn every_action_does_what_the_reference_does() {
    let cases: &[Case] = &[
        (
            &[
                ("source_labels", "a"),
                ("regex", "f(.*)"),
                ("target_label", "d"),
                ("replacement", "ch${1}-ch$1"),
            ],
            &[("a", "foo")],
            Some(r#"{a="foo", d="choo-choo"}"#),
        ),
        (
            &[("source_labels", "a"), ("regex", "x(.*)"), ("target_label", "d")],
            &[("a", "foo")],
            Some(r#"{a="foo"}"#),
        ),
        (
            &[("source_labels", "a,b"), ("regex", "(f.*);b(.*)"), ("target_label", "${1}_$2")],
            &[("a", "foo"), ("b", "bar")],
            Some(r#"{a="foo", b="bar", foo_ar="foo"}"#),
        ),
        (&[("target_label", "a"), ("replacement", "")], &[("a", "foo")], Some("{}")),
        (&[("target_label", "a"), ("replacement", "x")], &[], Some(r#"{a="x"}"#)),
        (
            &[("source_labels", "a"), ("regex", "f.."), ("action", "keep")],
            &[("a", "foo")],
            Some(r#"{a="foo"}"#),
        ),
        (&[("source_labels", "a"), ("regex", "f"), ("action", "keep")], &[("a", "foo")], None),
        (&[("source_labels", "a"), ("regex", "f.."), ("action", "DROP")], &[("a", "foo")], None),
        (&[("source_labels", "none"), ("action", "drop")], &[("a", "foo")], None),
        (
            &[("source_labels", "a"), ("target_label", "b"), ("action", "keepequal")],
            &[("a", "x"), ("b", "x")],
            Some(r#"{a="x", b="x"}"#),
        ),
        (&[("source_labels", "a"), ("target_label", "b"), ("action", "keepequal")], &[("a", "x")], None),
        (&[("source_labels", "a"), ("target_label", "b"), ("action", "dropequal")], &[], None),
        (
            &[("source_labels", "c"), ("target_label", "d"), ("action", "hashmod"), ("modulus", "1000")],
            &[("c", "baz")],
            Some(r#"{c="baz", d="976"}"#),
        ),
        (
            &[("regex", "(b.*)"), ("replacement", "bar_${1}"), ("action", "labelmap")],
            &[("a", "foo"), ("b1", "bar"), ("b2", "baz")],
            Some(r#"{a="foo", b1="bar", b2="baz", bar_b1="bar", bar_b2="baz"}"#),
        ),
        (&[("regex", "b.*"), ("action", "labeldrop")], &[("a", "1"), ("b", "2")], Some(r#"{a="1"}"#)),
        (&[("regex", "b.*"), ("action", "labelkeep")], &[("a", "1"), ("b", "2")], Some(r#"{b="2"}"#)),
        (
            &[("source_labels", "a"), ("target_label", "b"), ("action", "lowercase")],
            &[("a", "FoÖ")],
            Some(r#"{a="FoÖ", b="foö"}"#),
        ),
        (
            &[("source_labels", "a"), ("target_label", "a"), ("action", "uppercase")],
            &[("a", "straße")],
            Some(r#"{a="STRAßE"}"#),
        ),
        (
            &[("source_labels", "a,b"), ("separator", ""), ("target_label", "c")],
            &[("a", "x"), ("b", "y")],
            Some(r#"{a="x", b="y", c="xy"}"#),
        ),
    ];
    for (fields, labels, expected) in cases {
        assert_eq!(relabel(fields, labels).as_deref(), *expected, "{fields:?} on {labels:?}");
    }
}

#[test]
fn expansion_to_a_name_that_is_not_allowed_changes_nothing() {
    let mut config = rule(&[("source_labels", "a"), ("target_label", "${1}"), ("replacement", "x")]).unwrap();
    let mut labels = LabelsBuilder::from_labels(&Labels::from_pairs([("a", "b.c")]));
    config.validate(ValidationScheme::Legacy).unwrap();
    process(std::slice::from_ref(&config), &mut labels);
    assert_eq!(labels.build().to_string(), r#"{a="b.c"}"#);
    config.validate(ValidationScheme::Utf8).unwrap();
    process(std::slice::from_ref(&config), &mut labels);
    assert_eq!(labels.build().to_string(), r#"{a="b.c", "b.c"="x"}"#);
}

#[test]
fn rules_that_make_no_sense_are_refused_in_the_words_of_the_reference() {
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("action", "")], "relabel action cannot be empty"),
        (&[("action", "nope")], r#"unknown relabel action "nope""#),
        (&[("action", "hashmod")], "relabel configuration for hashmod requires non-zero modulus"),
        (&[], "relabel configuration for replace action requires 'target_label' value"),
        (
            &[("action", "uppercase"), ("target_label", "a"), ("replacement", "x")],
            "'replacement' can not be set for uppercase action",
        ),
        (
            &[("action", "labelmap"), ("regex", "a"), ("replacement", "")],
            r#""" is invalid 'replacement' for labelmap action"#,
        ),
        (
            &[("action", "keepequal"), ("target_label", "a"), ("regex", "x")],
            "keepequal action requires only 'source_labels' and `target_label`, and no other fields",
        ),
        (
            &[("action", "labeldrop"), ("regex", "a"), ("target_label", "x")],
            "labeldrop action requires only 'regex', and no other fields",
        ),
    ];
    for (fields, text) in cases {
        assert_eq!(rule(fields).unwrap_err().to_string(), *text);
    }
    let mut config = rule(&[("target_label", "a.b")]).unwrap();
    assert_eq!(
        config.validate(ValidationScheme::Legacy).unwrap_err().to_string(),
        r#""a.b" is invalid 'target_label' for replace action"#
    );
    let mut config = rule(&[("target_label", "${1}-x")]).unwrap();
    assert!(config.validate(ValidationScheme::Legacy).is_err());
    let mut config = rule(&[("target_label", "a_${1}_$2")]).unwrap();
    assert!(config.validate(ValidationScheme::Legacy).is_ok());
}

#[test]
fn steps_end_with_the_rule_that_drops() {
    let rules = [
        rule(&[("target_label", "a"), ("replacement", "x")]).unwrap(),
        rule(&[("source_labels", "a"), ("regex", "x"), ("action", "drop")]).unwrap(),
        rule(&[("target_label", "b"), ("replacement", "y")]).unwrap(),
    ];
    let steps = steps(&rules, &Labels::empty());
    let seen: Vec<_> = steps.iter().map(|step| (step.output.to_string(), step.keep)).collect();
    assert_eq!(seen, [(r#"{a="x"}"#.to_owned(), true), (r#"{a="x"}"#.to_owned(), false)]);
}

#[test]
fn labels_are_not_mapped_to_an_empty_name() {
    let rules = [rule(&[("action", "labelmap"), ("regex", "(x)?a"), ("replacement", "$1")]).unwrap()];
    let mut labels = LabelsBuilder::from_labels(&Labels::from_pairs([("a", "1"), ("xa", "2")]));
    assert!(process(&rules, &mut labels));
    assert_eq!(labels.build().to_string(), r#"{a="1", x="2", xa="2"}"#);
}

proptest! {
    #[test]
    fn no_rule_panics_and_every_result_is_a_label_set(
        action in 0..Action::ALL.len(),
        regex in "[a-c(|).*$]{0,6}",
        target in "[a-c${1}]{0,6}",
        replacement in "[a-c${1}]{0,6}",
        labels in proptest::collection::btree_map("[a-c]{1,2}", "\\PC{0,4}", 0..5),
    ) {
        let written = Written {
            source_labels: Some(vec!["a".to_owned(), "b".to_owned()]),
            regex: Some(regex),
            modulus: Some(7),
            target_label: Some(target),
            replacement: Some(replacement),
            action: Some(Action::ALL[action].as_str().to_owned()),
            ..Written::default()
        };
        if let Ok(config) = Config::try_from(written) {
            let mut builder = LabelsBuilder::from_labels(&Labels::from_pairs(&labels));
            process(&[config], &mut builder);
            prop_assert!(builder.build().iter().all(|(name, value)| !name.is_empty() && !value.is_empty()));
        }
    }
}
