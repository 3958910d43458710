//! `/targets`, `/scrape_pools` and what goes with them.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::labels::Labels;
use url::{Host, Url};

use crate::call::Call;
use crate::error::ApiError;
use crate::go_text;
use crate::json::JsonOut;
use crate::options::ApiOptions;
use crate::respond::{Answer, ApiResult};
use crate::server::App;
use crate::state::{ActiveTarget, DroppedTarget};

/// `/targets`.
pub(crate) fn targets(app: &Arc<App>, call: &Call) -> ApiResult {
    let state = call.query.get("state").to_lowercase();
    let pool = Some(call.query.get("scrapePool")).filter(|pool| !pool.is_empty());
    let any = state.is_empty() || state == "any";
    let source = &app.parts.targets;
    let active = if any || state == "active" { source.active(pool) } else { Vec::new() };
    let show_dropped = any || state == "dropped";
    let dropped = if show_dropped { source.dropped(pool) } else { Vec::new() };
    let counts = show_dropped.then(|| source.dropped_counts());
    let app = Arc::clone(app);
    Ok(Answer::data(move |out| {
        out.open_object();
        out.key("activeTargets").open_array();
        active.iter().for_each(|target| write_active(out, target, &app.options));
        out.close_array();
        out.key("droppedTargets").open_array();
        dropped.iter().for_each(|target| write_dropped(out, target));
        out.close_array();
        out.key("droppedTargetCounts");
        match counts {
            None => out.null(),
            Some(counts) => {
                out.open_object();
                for (pool, count) in &counts {
                    out.text_key(pool).integer(*count);
                }
                out.close_object();
            }
        }
        out.close_object();
    }))
}

fn write_active(out: &mut JsonOut<'_>, target: &ActiveTarget, options: &ApiOptions) {
    out.open_object();
    out.key("discoveredLabels").labels(&target.discovered_labels);
    out.key("labels").labels(&target.labels);
    out.key("scrapePool").string(&target.scrape_pool);
    out.key("scrapeUrl").string(&target.scrape_url);
    out.key("globalUrl").string(&global_url(&target.scrape_url, options));
    out.key("lastError").string(&target.last_error);
    out.key("lastScrape").string(&go_text::rfc3339(target.last_scrape_ms));
    out.key("lastScrapeDuration").float(target.last_scrape_duration_secs);
    out.key("health").string(target.health.as_str());
    out.key("scrapeInterval").string(&target.scrape_interval);
    out.key("scrapeTimeout").string(&target.scrape_timeout);
    out.close_object();
}

fn write_dropped(out: &mut JsonOut<'_>, target: &DroppedTarget) {
    out.open_object();
    out.key("discoveredLabels").labels(&target.discovered_labels);
    out.key("scrapePool").string(&target.scrape_pool);
    out.close_object();
}

/// The target's URL as it may be reached from elsewhere: a loopback host is replaced by the host of the
/// external URL, and the server itself by the whole of it.
pub(crate) fn global_url(scrape_url: &str, options: &ApiOptions) -> String {
    let Ok(mut url) = Url::parse(scrape_url) else { return scrape_url.to_owned() };
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip == std::net::Ipv4Addr::LOCALHOST,
        Some(Host::Ipv6(ip)) => ip == std::net::Ipv6Addr::LOCALHOST,
        None => false,
    };
    let Some(external_host) = options.external_url.host_str().filter(|_| is_loopback) else {
        return scrape_url.to_owned();
    };
    let port = url.port_or_known_default();
    let is_own_port =
        |address: &String| address.rsplit_once(':').and_then(|(_, port)| port.parse().ok()) == port;
    let _ = url.set_host(Some(external_host));
    if options.listen_addresses.iter().any(is_own_port) {
        let _ = url.set_scheme(options.external_url.scheme());
        let _ = url.set_port(options.external_url.port());
    }
    url.to_string()
}

/// `/scrape_pools`.
pub(crate) fn scrape_pools(app: &Arc<App>, _: &Call) -> ApiResult {
    let pools = app.parts.targets.scrape_pools();
    Ok(Answer::data(move |out| {
        out.open_object();
        out.key("scrapePools").strings(&pools);
        out.close_object();
    }))
}

/// `/scrape_pools/config`.
pub(crate) fn scrape_pool_config(app: &Arc<App>, call: &Call) -> ApiResult {
    let pool = call.form.get("scrapePool");
    let yaml = match pool {
        "" => Err("no scrape pool name provided".to_owned()),
        pool => app.parts.targets.scrape_pool_config(pool),
    };
    let yaml =
        yaml.map_err(|cause| ApiError::bad_data(format!("error retrieving scrape config: {cause}")))?;
    Ok(Answer::data(move |out| {
        out.open_object();
        out.key("yaml").string(&yaml);
        out.close_object();
    }))
}

/// `/targets/relabel_steps`: what each relabelling rule of a pool makes of a label set.
pub(crate) fn relabel_steps(app: &Arc<App>, call: &Call) -> ApiResult {
    let pool = call.form.get("scrapePool");
    if pool.is_empty() {
        return Err(ApiError::bad_data("no scrapePool parameter provided"));
    }
    let text = call.form.get("labels");
    if text.is_empty() {
        return Err(ApiError::bad_data("no labels parameter provided"));
    }
    let pairs: BTreeMap<String, String> = serde_json::from_str(text)
        .map_err(|cause| ApiError::bad_data(format!("error parsing labels: {cause}")))?;
    let steps = app
        .parts
        .targets
        .relabel_steps(pool, &Labels::from_pairs(pairs))
        .map_err(|cause| ApiError::bad_data(format!("error retrieving scrape config: {cause}")))?;
    Ok(Answer::data(move |out| {
        out.open_object();
        out.key("steps").open_array();
        for step in &steps {
            out.open_object();
            out.key("rule").value(&step.rule);
            out.key("output").labels(&step.output);
            out.key("keep").bool(step.keep);
            out.close_object();
        }
        out.close_array();
        out.close_object();
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_urls_are_told_as_others_see_them() {
        let options = ApiOptions {
            listen_addresses: vec!["0.0.0.0:9090".into()],
            external_url: Url::parse("https://prom.example/p/").unwrap(),
            ..ApiOptions::default()
        };
        for (scraped, told) in [
            ("http://127.0.0.1:9090/metrics", "https://prom.example/metrics"),
            ("http://localhost:9100/metrics?x=1", "http://prom.example:9100/metrics?x=1"),
            ("http://[::1]:9100/m", "http://prom.example:9100/m"),
            ("http://10.0.0.1:9090/metrics", "http://10.0.0.1:9090/metrics"),
            ("no url", "no url"),
        ] {
            assert_eq!(global_url(scraped, &options), told);
        }
    }
}
