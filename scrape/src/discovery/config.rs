//! The discovery sections of the configuration file, and the macro that stands them inline in a section with
//! targets: scrape configs and alertmanagers.

use std::path::Path;

use client::HttpClientConfig;
use model::duration::PromDuration;
use model::labels::Labels;
use serde::{Deserialize, Deserializer, Serialize, de};

pub use super::consul::ConsulSdConfig;
pub use super::docker::{DockerSdConfig, DockerSwarmSdConfig};
pub use super::ec2::Ec2SdConfig;
use super::group;
pub use super::kubernetes::KubernetesSdConfig;

/// The mechanisms that there are, as the keys of the file.
pub const SUPPORTED: &[&str] = &[
    "static_configs",
    "file_sd_configs",
    "http_sd_configs",
    "dns_sd_configs",
    "consul_sd_configs",
    "docker_sd_configs",
    "dockerswarm_sd_configs",
    "ec2_sd_configs",
    "kubernetes_sd_configs",
];

/// The mechanisms that the reference has and Ferula hasn't yet. [`Missing`] refers to them by index.
pub const MISSING: &[&str] = &[
    "aws_sd_configs",
    "azure_sd_configs",
    "digitalocean_sd_configs",
    "eureka_sd_configs",
    "gce_sd_configs",
    "hetzner_sd_configs",
    "ionos_sd_configs",
    "kuma_sd_configs",
    "lightsail_sd_configs",
    "linode_sd_configs",
    "marathon_sd_configs",
    "nerve_sd_configs",
    "nomad_sd_configs",
    "oci_sd_configs",
    "openstack_sd_configs",
    "outscale_sd_configs",
    "ovhcloud_sd_configs",
    "puppetdb_sd_configs",
    "scaleway_sd_configs",
    "serverset_sd_configs",
    "stackit_sd_configs",
    "triton_sd_configs",
    "uyuni_sd_configs",
    "vultr_sd_configs",
];

/// A section of a mechanism that isn't there yet: reading it is an error that names it and what there is.
#[derive(Clone, Copy, Debug)]
pub struct Missing<const INDEX: usize>;

impl<'de, const INDEX: usize> Deserialize<'de> for Missing<INDEX> {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(de::Error::custom(format!(
            "{} is not supported yet, supported are: {}",
            MISSING[INDEX],
            SUPPORTED.join(", ")
        )))
    }
}

/// Declares a section of the configuration file that has targets: like
/// [`client::inline_http_client!`] with the keys of all discovery mechanisms and a method `discovery` that
/// takes them out.
#[macro_export]
macro_rules! inline_discovery {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$field_meta:meta])* $field_vis:vis $field:ident: $type:ty),* $(,)?
    }) => {
        ::client::inline_http_client! {
            $(#[$meta])*
            #[allow(dead_code, reason = "fields of missing mechanisms are there to be refused by name")]
            $vis struct $name {
                $($(#[$field_meta])* $field_vis $field: $type,)*
                static_configs: Option<Vec<$crate::discovery::config::StaticConfig>>,
                file_sd_configs: Option<Vec<$crate::discovery::config::FileSdConfig>>,
                http_sd_configs: Option<Vec<$crate::discovery::config::HttpSdConfig>>,
                dns_sd_configs: Option<Vec<$crate::discovery::config::DnsSdConfig>>,
                consul_sd_configs: Option<Vec<$crate::discovery::config::ConsulSdConfig>>,
                docker_sd_configs: Option<Vec<$crate::discovery::config::DockerSdConfig>>,
                dockerswarm_sd_configs: Option<Vec<$crate::discovery::config::DockerSwarmSdConfig>>,
                ec2_sd_configs: Option<Vec<$crate::discovery::config::Ec2SdConfig>>,
                kubernetes_sd_configs: Option<Vec<$crate::discovery::config::KubernetesSdConfig>>,
                aws_sd_configs: Option<$crate::discovery::config::Missing<0>>,
                azure_sd_configs: Option<$crate::discovery::config::Missing<1>>,
                digitalocean_sd_configs: Option<$crate::discovery::config::Missing<2>>,
                eureka_sd_configs: Option<$crate::discovery::config::Missing<3>>,
                gce_sd_configs: Option<$crate::discovery::config::Missing<4>>,
                hetzner_sd_configs: Option<$crate::discovery::config::Missing<5>>,
                ionos_sd_configs: Option<$crate::discovery::config::Missing<6>>,
                kuma_sd_configs: Option<$crate::discovery::config::Missing<7>>,
                lightsail_sd_configs: Option<$crate::discovery::config::Missing<8>>,
                linode_sd_configs: Option<$crate::discovery::config::Missing<9>>,
                marathon_sd_configs: Option<$crate::discovery::config::Missing<10>>,
                nerve_sd_configs: Option<$crate::discovery::config::Missing<11>>,
                nomad_sd_configs: Option<$crate::discovery::config::Missing<12>>,
                oci_sd_configs: Option<$crate::discovery::config::Missing<13>>,
                openstack_sd_configs: Option<$crate::discovery::config::Missing<14>>,
                outscale_sd_configs: Option<$crate::discovery::config::Missing<15>>,
                ovhcloud_sd_configs: Option<$crate::discovery::config::Missing<16>>,
                puppetdb_sd_configs: Option<$crate::discovery::config::Missing<17>>,
                scaleway_sd_configs: Option<$crate::discovery::config::Missing<18>>,
                serverset_sd_configs: Option<$crate::discovery::config::Missing<19>>,
                stackit_sd_configs: Option<$crate::discovery::config::Missing<20>>,
                triton_sd_configs: Option<$crate::discovery::config::Missing<21>>,
                uyuni_sd_configs: Option<$crate::discovery::config::Missing<22>>,
                vultr_sd_configs: Option<$crate::discovery::config::Missing<23>>,
            }
        }

        impl $name {
            /// Takes out the discovery sections.
            fn discovery(&mut self) -> $crate::discovery::config::DiscoveryConfigs {
                $crate::discovery::config::DiscoveryConfigs {
                    static_configs: self.static_configs.take().unwrap_or_default(),
                    file_sd_configs: self.file_sd_configs.take().unwrap_or_default(),
                    http_sd_configs: self.http_sd_configs.take().unwrap_or_default(),
                    dns_sd_configs: self.dns_sd_configs.take().unwrap_or_default(),
                    consul_sd_configs: self.consul_sd_configs.take().unwrap_or_default(),
                    docker_sd_configs: self.docker_sd_configs.take().unwrap_or_default(),
                    dockerswarm_sd_configs: self.dockerswarm_sd_configs.take().unwrap_or_default(),
                    ec2_sd_configs: self.ec2_sd_configs.take().unwrap_or_default(),
                    kubernetes_sd_configs: self.kubernetes_sd_configs.take().unwrap_or_default(),
                }
            }
        }
    };
}

/// All discovery sections of a job.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DiscoveryConfigs {
    /// Targets in the file itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub static_configs: Vec<StaticConfig>,
    /// Targets in other files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub file_sd_configs: Vec<FileSdConfig>,
    /// Targets from HTTP servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub http_sd_configs: Vec<HttpSdConfig>,
    /// Targets from the domain name system.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_sd_configs: Vec<DnsSdConfig>,
    /// Targets from Consul.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub consul_sd_configs: Vec<ConsulSdConfig>,
    /// Targets from a Docker engine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub docker_sd_configs: Vec<DockerSdConfig>,
    /// Targets from a Docker Swarm.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dockerswarm_sd_configs: Vec<DockerSwarmSdConfig>,
    /// Targets from Amazon's EC2.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ec2_sd_configs: Vec<Ec2SdConfig>,
    /// Targets from Kubernetes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kubernetes_sd_configs: Vec<KubernetesSdConfig>,
}

impl DiscoveryConfigs {
    /// Takes relative paths as relative to `directory`.
    pub fn set_directory(&mut self, directory: &Path) {
        for file in self.file_sd_configs.iter_mut().flat_map(|config| &mut config.files) {
            client::config::join(directory, file);
        }
        for config in &mut self.kubernetes_sd_configs {
            client::config::join(directory, &mut config.kubeconfig_file);
        }
        let http = self.http_sd_configs.iter_mut().map(|config| &mut config.http_client);
        let consul = self.consul_sd_configs.iter_mut().map(|config| &mut config.http_client);
        let docker = self.docker_sd_configs.iter_mut().map(|config| &mut config.engine.http_client);
        let swarm = self.dockerswarm_sd_configs.iter_mut().map(|config| &mut config.engine.http_client);
        let ec2 = self.ec2_sd_configs.iter_mut().map(|config| &mut config.http_client);
        let kubernetes = self.kubernetes_sd_configs.iter_mut().map(|config| &mut config.http_client);
        for client in http.chain(consul).chain(docker).chain(swarm).chain(ec2).chain(kubernetes) {
            client.set_directory(directory);
        }
    }

    /// Every HTTP client block among them but those of Kubernetes.
    pub fn http_clients(&self) -> impl Iterator<Item = &HttpClientConfig> {
        let http = self.http_sd_configs.iter().map(|config| &config.http_client);
        let consul = self.consul_sd_configs.iter().map(|config| &config.http_client);
        let docker = self.docker_sd_configs.iter().map(|config| &config.engine.http_client);
        let swarm = self.dockerswarm_sd_configs.iter().map(|config| &config.engine.http_client);
        let ec2 = self.ec2_sd_configs.iter().map(|config| &config.http_client);
        http.chain(consul).chain(docker).chain(swarm).chain(ec2)
    }
}

/// Refuses what can't be the address of a target.
pub(crate) fn check_target_address(address: &str) -> Result<(), ()> {
    if address.contains('/') { Err(()) } else { Ok(()) }
}

/// A group of targets in the configuration file itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StaticConfig {
    /// Addresses.
    pub targets: Vec<String>,
    /// Labels of all of them.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
}

impl<'de> Deserialize<'de> for StaticConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = group::Written::deserialize(deserializer)?;
        let labels = written.labels().map_err(de::Error::custom)?;
        Ok(StaticConfig { targets: written.targets.unwrap_or_default(), labels })
    }
}

const FILE_REFRESH_INTERVAL: PromDuration = PromDuration::from_secs(5 * 60);
const HTTP_REFRESH_INTERVAL: PromDuration = PromDuration::from_secs(60);
const DNS_REFRESH_INTERVAL: PromDuration = PromDuration::from_secs(30);

/// Targets in files, which are watched.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FileSdConfig {
    /// Paths; the last part may have wildcards.
    pub files: Vec<String>,
    /// How often to look without being told of a change.
    pub refresh_interval: PromDuration,
}

impl<'de> Deserialize<'de> for FileSdConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        struct Written {
            files: Option<Vec<String>>,
            refresh_interval: Option<PromDuration>,
        }
        let written = Written::deserialize(deserializer)?;
        let files = written.files.unwrap_or_default();
        if files.is_empty() {
            return Err(de::Error::custom(
                "file service discovery config must contain at least one path name",
            ));
        }
        if let Some(path) = files.iter().find(|path| !is_target_file_pattern(path)) {
            return Err(de::Error::custom(format!("path name {path:?} is not valid for file discovery")));
        }
        let refresh_interval = written.refresh_interval.unwrap_or(FILE_REFRESH_INTERVAL);
        Ok(FileSdConfig { files, refresh_interval })
    }
}

/// Whether the path ends in `.json`, `.yml` or `.yaml` and has a wildcard in its last part at most, and there
/// only one `*`, as the reference has it: `^[^*]*(\*[^/]*)?\.(json|yml|yaml|JSON|YML|YAML)$`.
fn is_target_file_pattern(path: &str) -> bool {
    let stem = [".json", ".yml", ".yaml", ".JSON", ".YML", ".YAML"]
        .iter()
        .find_map(|extension| path.strip_suffix(extension));
    match stem.map(|stem| stem.split_once('*')) {
        None => false,
        Some(None) => true,
        Some(Some((_, after))) => !after.contains('/'),
    }
}

/// Targets from an HTTP server.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HttpSdConfig {
    /// Where to ask.
    pub url: String,
    /// How often.
    pub refresh_interval: PromDuration,
    /// How.
    #[serde(flatten)]
    pub http_client: HttpClientConfig,
}

impl<'de> Deserialize<'de> for HttpSdConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        client::inline_http_client! {
            struct Written {
                url: Option<String>,
                refresh_interval: Option<PromDuration>,
            }
        }
        let mut written = Written::deserialize(deserializer)?;
        let http_client = written.http_client(true).map_err(de::Error::custom)?;
        let url = written.url.unwrap_or_default();
        check_http_url(&url).map_err(de::Error::custom)?;
        let refresh_interval = written.refresh_interval.unwrap_or(HTTP_REFRESH_INTERVAL);
        Ok(HttpSdConfig { url, refresh_interval, http_client })
    }
}

fn check_http_url(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("URL is missing".to_owned());
    }
    let parsed = match url::Url::parse(text) {
        Ok(parsed) => parsed,
        Err(url::ParseError::EmptyHost) => return Err("host is missing in URL".to_owned()),
        Err(url::ParseError::RelativeUrlWithoutBase) => {
            return Err("URL scheme must be 'http' or 'https'".to_owned());
        }
        Err(error) => return Err(format!("parse {text:?}: {error}")),
    };
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err("URL scheme must be 'http' or 'https'".to_owned());
    }
    if parsed.host_str().is_none_or(str::is_empty) {
        return Err("host is missing in URL".to_owned());
    }
    Ok(())
}

/// The kind of record that DNS discovery asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names of DNS record types")]
pub enum DnsRecordType {
    A,
    Aaaa,
    Mx,
    Ns,
    #[default]
    Srv,
}

/// Targets from the domain name system.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DnsSdConfig {
    /// Names to look up.
    pub names: Vec<String>,
    /// How often.
    pub refresh_interval: PromDuration,
    /// What to ask for.
    #[serde(rename = "type")]
    pub record_type: DnsRecordType,
    /// The port of targets, but for SRV records, which have their own.
    #[serde(skip_serializing_if = "is_no_port")]
    pub port: u16,
}

fn is_no_port(port: &u16) -> bool {
    *port == 0
}

impl<'de> Deserialize<'de> for DnsSdConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        struct Written {
            names: Option<Vec<String>>,
            refresh_interval: Option<PromDuration>,
            #[serde(rename = "type")]
            record_type: Option<DnsRecordType>,
            port: Option<u16>,
        }
        let written = Written::deserialize(deserializer)?;
        let names = written.names.unwrap_or_default();
        let record_type = written.record_type.unwrap_or_default();
        let port = written.port.unwrap_or(0);
        if names.is_empty() {
            return Err(de::Error::custom("DNS-SD config must contain at least one SRV record name"));
        }
        if record_type != DnsRecordType::Srv && port == 0 {
            return Err(de::Error::custom(
                "a port is required in DNS-SD configs for all record types except SRV",
            ));
        }
        let refresh_interval = written.refresh_interval.unwrap_or(DNS_REFRESH_INTERVAL);
        Ok(DnsSdConfig { names, refresh_interval, record_type, port })
    }
}
