//! What `/api/v1/features` lists: what this program can do, by category.

use std::collections::BTreeMap;

/// Every category that doesn't depend on flags, with what is in it.
const FIXED: &[(&str, &[(&str, bool)])] = &[
    (
        "api",
        &[
            ("exclude_alerts", true),
            ("label_values_match", true),
            ("query_stats", true),
            ("query_warnings", true),
            ("time_range_labels", true),
            ("time_range_series", true),
        ],
    ),
    ("rules", &[("keep_firing_for", false), ("query_offset", false)]),
    ("tsdb", &[("exemplar_storage", false)]),
];

/// The features, with those that flags switch.
pub(super) fn by_category(flags: &BTreeMap<String, String>) -> BTreeMap<String, BTreeMap<String, bool>> {
    let owned = |features: &[(&str, bool)]| -> BTreeMap<String, bool> {
        features.iter().map(|(name, on)| ((*name).to_owned(), *on)).collect()
    };
    let mut all: BTreeMap<String, BTreeMap<String, bool>> =
        FIXED.iter().map(|(category, features)| ((*category).to_owned(), owned(features))).collect();
    let is_on = |flag: &str| flags.get(flag).is_some_and(|value| value == "true");
    let api = all.entry("api".to_owned()).or_default();
    api.insert("admin".to_owned(), is_on("web.enable-admin-api"));
    api.insert("remote_write_receiver".to_owned(), is_on("web.enable-remote-write-receiver"));
    api.insert("otlp_write_receiver".to_owned(), is_on("web.enable-otlp-receiver"));
    api.insert("lifecycle".to_owned(), is_on("web.enable-lifecycle"));
    let has = |feature: &str| {
        flags.get("enable-feature").is_some_and(|features| features.split(',').any(|name| name == feature))
    };
    let otlp = [
        ("delta_conversion", has("otlp-deltatocumulative")),
        ("native_delta_ingestion", has("otlp-native-delta-ingestion")),
    ];
    all.insert("otlp_receiver".to_owned(), owned(&otlp));
    let enabled = flags.get("enable-feature").map(String::as_str).unwrap_or_default();
    let evaluates_at_once = enabled.split([',', ' ']).any(|name| name == "concurrent-rule-eval");
    all.entry("rules".to_owned()).or_default().insert("concurrent_rule_eval".to_owned(), evaluates_at_once);
    let program =
        [("agent_mode", false), ("auto_reload_config", is_on("config.auto-reload")), ("server_mode", true)];
    all.insert("prometheus".to_owned(), owned(&program));
    all
}
