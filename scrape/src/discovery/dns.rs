//! Discovery from the domain name system.

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use model::labels::{Labels, LabelsBuilder};

use super::Context;
use super::config::{DnsRecordType, DnsSdConfig};
use super::group::{ADDRESS_LABEL, TargetGroup};
use super::meta::host_port;
use super::metrics::DiscoveryMetrics;
use super::refresh::Refresh;

/// Looks names up.
pub(crate) struct DnsDiscovery {
    config: DnsSdConfig,
    metrics: Option<DiscoveryMetrics>,
    /// Made at the first look-up, and again after the system's configuration could not be read.
    resolver: Option<TokioResolver>,
}

impl DnsDiscovery {
    pub(crate) fn new(config: &DnsSdConfig, context: &Context) -> Self {
        DnsDiscovery { config: config.clone(), metrics: context.metrics.clone(), resolver: None }
    }

    async fn look_up(&mut self, name: &str) -> Result<TargetGroup, String> {
        if self.resolver.is_none() {
            let builder = TokioResolver::builder_tokio().map_err(|error| error.to_string())?;
            self.resolver = Some(builder.build());
        }
        let Some(resolver) = &self.resolver else { return Err("no resolver".to_owned()) };
        let looked_up = resolver.lookup(name, record_type(self.config.record_type)).await;
        let records: Vec<Record> = match looked_up {
            Ok(lookup) => lookup.records().to_vec(),
            // A name that has no such records is an answer: there are no targets.
            Err(error) if error.is_no_records_found() || error.is_nx_domain() => Vec::new(),
            Err(error) => return Err(format!("could not resolve {name:?}: {error}")),
        };
        let targets = records.iter().filter_map(|record| target(name, &self.config, record.data()));
        Ok(TargetGroup { targets: targets.collect(), labels: Labels::empty(), source: name.to_owned() })
    }
}

impl Refresh for DnsDiscovery {
    const MECHANISM: &'static str = "dns";

    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, String> {
        let mut groups = Vec::new();
        let mut failed = None;
        for name in self.config.names.clone() {
            if let Some(metrics) = &self.metrics {
                metrics.dns_lookups.inc();
            }
            match self.look_up(&name).await {
                Ok(group) => groups.push(group),
                Err(error) => {
                    if let Some(metrics) = &self.metrics {
                        metrics.dns_failures.inc();
                    }
                    failed = Some(error);
                }
            }
        }
        // One name that fails must not take the targets of the others away.
        failed.map_or(Ok(groups), Err)
    }
}

fn record_type(kind: DnsRecordType) -> RecordType {
    match kind {
        DnsRecordType::A => RecordType::A,
        DnsRecordType::Aaaa => RecordType::AAAA,
        DnsRecordType::Mx => RecordType::MX,
        DnsRecordType::Ns => RecordType::NS,
        DnsRecordType::Srv => RecordType::SRV,
    }
}

/// The target that a record stands for.
fn target(name: &str, config: &DnsSdConfig, data: &RData) -> Option<Labels> {
    let mut labels = LabelsBuilder::new();
    // Names end in a dot in the protocol, and in addresses by custom do not.
    let undotted = |name: String| name.strip_suffix('.').map(str::to_owned).unwrap_or(name);
    let address = match data {
        RData::A(address) => host_port(&address.to_string(), config.port),
        RData::AAAA(address) => host_port(&address.to_string(), config.port),
        RData::MX(record) => {
            labels.set("__meta_dns_mx_record_target", &record.exchange().to_string());
            host_port(&undotted(record.exchange().to_string()), config.port)
        }
        RData::NS(record) => {
            labels.set("__meta_dns_ns_record_target", &record.0.to_string());
            host_port(&undotted(record.0.to_string()), config.port)
        }
        RData::SRV(record) => {
            labels.set("__meta_dns_srv_record_target", &record.target().to_string());
            labels.set("__meta_dns_srv_record_port", &record.port().to_string());
            host_port(&undotted(record.target().to_string()), record.port())
        }
        _ => return None,
    };
    labels.set("__meta_dns_name", name).set(ADDRESS_LABEL, &address);
    Some(labels.build())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use hickory_resolver::proto::rr::rdata::{A, AAAA, MX, SRV};

    use super::*;

    #[test]
    fn records_become_targets() {
        let config = DnsSdConfig {
            names: vec!["n".to_owned()],
            refresh_interval: model::duration::PromDuration::from_secs(30),
            record_type: DnsRecordType::A,
            port: 9100,
        };
        let srv = SRV::new(0, 0, 80, "web.example.".parse().unwrap());
        for (data, expected) in [
            (RData::A(A(Ipv4Addr::LOCALHOST)), r#"{__address__="127.0.0.1:9100", __meta_dns_name="n"}"#),
            (RData::AAAA(AAAA(Ipv6Addr::LOCALHOST)), r#"{__address__="[::1]:9100", __meta_dns_name="n"}"#),
            (
                RData::MX(MX::new(1, "mx.example.".parse().unwrap())),
                r#"{__address__="mx.example:9100", __meta_dns_mx_record_target="mx.example.", __meta_dns_name="n"}"#,
            ),
            (
                RData::SRV(srv),
                r#"{__address__="web.example:80", __meta_dns_name="n", __meta_dns_srv_record_port="80", __meta_dns_srv_record_target="web.example."}"#,
            ),
        ] {
            assert_eq!(target("n", &config, &data).unwrap().to_string(), expected);
        }
    }
}
