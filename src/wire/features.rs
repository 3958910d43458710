//! What `/api/v1/features` lists: what this program can do, by category.

use std::collections::BTreeMap;

use promql::features::Category;
use remote::otlp::DeltaHandling;

use crate::flags::Flags;

/// The features of a category.
type Listed = BTreeMap<String, bool>;

/// Every category with its features, and whether they can be used.
pub(super) fn by_category(flags: &Flags) -> BTreeMap<String, Listed> {
    let functions = rules::template::function_names().map(|name| (name, true));
    let mechanisms = scrape::discovery::config::SUPPORTED.iter();
    let mechanisms = mechanisms.map(|key| (key.trim_end_matches("_sd_configs"), true));
    let mechanisms = mechanisms.map(|(name, on)| (name.trim_end_matches("_configs"), on));
    let language = |wanted: Category| {
        let all = flags.features.promql.offered().into_iter();
        all.filter(move |(category, ..)| *category == wanted).map(|(_, name, is_on)| (name, is_on))
    };
    let all = [
        ("api", listed(api(flags))),
        ("otlp_receiver", listed(otlp(flags))),
        ("prometheus", listed(program(flags))),
        ("promql", listed(language(Category::Language))),
        ("promql_functions", listed(language(Category::Functions))),
        ("promql_operators", listed(language(Category::Operators))),
        ("rules", listed(rule_evaluation(flags))),
        ("scrape", listed(scraping())),
        ("service_discovery_providers", listed(mechanisms)),
        ("templating_functions", listed(functions)),
        ("tsdb", listed(storage(flags))),
        ("ui", listed([("ui_v2", false), ("ui_v3", true)])),
    ];
    all.into_iter().map(|(category, features)| (category.to_owned(), features)).collect()
}

fn listed<'a>(features: impl IntoIterator<Item = (&'a str, bool)>) -> Listed {
    features.into_iter().map(|(name, is_on)| (name.to_owned(), is_on)).collect()
}

fn api(flags: &Flags) -> [(&'static str, bool); 15] {
    [
        ("admin", flags.web.enable_admin_api),
        ("exclude_alerts", true),
        ("label_values_match", true),
        ("lifecycle", flags.web.enable_lifecycle),
        ("openapi_3.1", true),
        ("openapi_3.2", true),
        ("otlp_write_receiver", flags.web.enable_otlp_receiver),
        ("query_stats", true),
        ("query_warnings", true),
        ("remote_write_receiver", flags.web.remote_write_versions.is_some()),
        ("search", flags.features.search_api),
        ("search_fuzz_alg_jarowinkler", true),
        ("search_fuzz_alg_subsequence", true),
        ("time_range_labels", true),
        ("time_range_series", true),
    ]
}

fn otlp(flags: &Flags) -> [(&'static str, bool); 2] {
    let deltas = flags.features.otlp_deltas;
    [
        ("delta_conversion", deltas == DeltaHandling::Cumulative),
        ("native_delta_ingestion", deltas == DeltaHandling::Native),
    ]
}

fn program(flags: &Flags) -> [(&'static str, bool); 3] {
    [
        ("agent_mode", false),
        ("auto_reload_config", flags.auto_reload_interval.is_some()),
        ("server_mode", true),
    ]
}

fn rule_evaluation(flags: &Flags) -> [(&'static str, bool); 3] {
    [
        ("concurrent_rule_eval", flags.features.concurrent_rule_eval),
        ("keep_firing_for", true),
        ("query_offset", true),
    ]
}

fn scraping() -> [(&'static str, bool); 3] {
    [
        ("extra_scrape_metrics", true),
        ("start_timestamp_zero_ingestion", false),
        ("type_and_unit_labels", false),
    ]
}

fn storage(flags: &Flags) -> [(&'static str, bool); 8] {
    [
        ("delayed_compaction", false),
        ("exemplar_storage", flags.features.exemplar_storage),
        ("histograms_st_encoding", false),
        ("isolation", true),
        ("native_histograms", true),
        ("st_storage", false),
        ("use_uncached_io", false),
        ("xor2_encoding", false),
    ]
}
