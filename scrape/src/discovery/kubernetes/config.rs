//! `kubernetes_sd_configs`.

use client::HttpClientConfig;
use serde::{Deserialize, Deserializer, Serialize, de};
use url::Url;

use super::selector;

/// What of a cluster becomes targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "Kubernetes's own words")]
pub enum Role {
    Node,
    Pod,
    Service,
    Endpoints,
    EndpointSlice,
    Ingress,
}

impl Role {
    const ALL: [(&str, Role); 6] = [
        ("node", Role::Node),
        ("pod", Role::Pod),
        ("service", Role::Service),
        ("endpoints", Role::Endpoints),
        ("endpointslice", Role::EndpointSlice),
        ("ingress", Role::Ingress),
    ];

    /// Every role.
    pub(in crate::discovery) fn all() -> impl Iterator<Item = Role> {
        Self::ALL.iter().map(|(_, role)| *role)
    }

    /// The role's name in the configuration.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, role)| *role == self).map_or("", |(name, _)| name)
    }

    /// The roles of which the objects that this one needs can be selected.
    fn selectable(self) -> &'static [Role] {
        match self {
            Role::Pod => &[Role::Pod, Role::Node],
            Role::Service => &[Role::Service],
            Role::EndpointSlice => &[Role::Pod, Role::Service, Role::EndpointSlice],
            Role::Endpoints => &[Role::Pod, Role::Service, Role::Endpoints],
            Role::Node => &[Role::Node],
            Role::Ingress => &[Role::Ingress],
        }
    }
}

impl<'de> Deserialize<'de> for Role {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let role = Role::ALL.iter().find(|(known, _)| *known == name);
        role.map(|(_, role)| *role)
            .ok_or_else(|| de::Error::custom(format!("unknown Kubernetes SD role {name:?}")))
    }
}

/// Objects of a Kubernetes cluster.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KubernetesSdConfig {
    /// The API's URL; that of the cluster that the program runs in by default.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_server: String,
    /// What becomes targets.
    pub role: Role,
    /// A file that says where the API is and who asks.
    pub kubeconfig_file: String,
    /// How to ask, if `api_server` says where.
    #[serde(flatten)]
    pub http_client: HttpClientConfig,
    /// In which namespaces; in all by default.
    #[serde(skip_serializing_if = "Namespaces::is_all")]
    pub namespaces: Namespaces,
    /// Which objects.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub selectors: Vec<SelectorConfig>,
    /// What is told of other objects.
    #[serde(skip_serializing_if = "AttachMetadata::is_none")]
    pub attach_metadata: AttachMetadata,
}

/// Some namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Namespaces {
    /// Whether the one that the program runs in is among them.
    pub own_namespace: bool,
    /// Their names.
    pub names: Vec<String>,
}

impl Namespaces {
    fn is_all(&self) -> bool {
        *self == Namespaces::default()
    }
}

/// Which objects of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelectorConfig {
    /// The kind.
    pub role: Role,
    /// By labels.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// By fields.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// Other objects of which targets have labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttachMetadata {
    /// The node.
    pub node: bool,
    /// The namespace.
    pub namespace: bool,
    /// The deployment of a pod.
    pub deployment: bool,
    /// The job of a pod.
    pub job: bool,
    /// The cron job of a pod.
    pub cronjob: bool,
}

impl AttachMetadata {
    fn is_none(&self) -> bool {
        *self == AttachMetadata::default()
    }
}

client::inline_http_client! {
    struct Written {
        api_server: Option<String>,
        role: Option<Role>,
        kubeconfig_file: Option<String>,
        namespaces: Option<Namespaces>,
        selectors: Option<Vec<SelectorConfig>>,
        attach_metadata: Option<AttachMetadata>,
    }
}

impl<'de> Deserialize<'de> for KubernetesSdConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut written = Written::deserialize(deserializer)?;
        let Some(role) = written.role else {
            return Err(de::Error::custom(
                "role missing (one of: pod, service, endpoints, endpointslice, node, ingress)",
            ));
        };
        let config = KubernetesSdConfig {
            http_client: written.http_client(true).map_err(de::Error::custom)?,
            api_server: written.api_server.unwrap_or_default(),
            role,
            kubeconfig_file: written.kubeconfig_file.unwrap_or_default(),
            namespaces: written.namespaces.unwrap_or_default(),
            selectors: written.selectors.unwrap_or_default(),
            attach_metadata: written.attach_metadata.unwrap_or_default(),
        };
        config.check().map_err(de::Error::custom)?;
        Ok(config)
    }
}

impl KubernetesSdConfig {
    fn check(&self) -> Result<(), String> {
        let has_server = !self.api_server.is_empty();
        let has_file = !self.kubeconfig_file.is_empty();
        let has_client = self.http_client != HttpClientConfig::default();
        let has_own = self.namespaces.own_namespace;
        let conflicts = [
            (has_server && has_file, "cannot use 'kubeconfig_file' and 'api_server' simultaneously"),
            (
                has_file && has_client,
                "cannot use a custom HTTP client configuration together with 'kubeconfig_file'",
            ),
            (
                !has_server && has_client,
                "to use custom HTTP client configuration please provide the 'api_server' URL explicitly",
            ),
            (has_server && has_own, "cannot use 'api_server' and 'namespaces.own_namespace' simultaneously"),
            (
                has_file && has_own,
                "cannot use 'kubeconfig_file' and 'namespaces.own_namespace' simultaneously",
            ),
        ];
        if let Some((_, conflict)) = conflicts.iter().find(|(holds, _)| *holds) {
            return Err((*conflict).to_owned());
        }
        if has_server {
            Url::parse(&self.api_server).map_err(|error| format!("parse {:?}: {error}", self.api_server))?;
        }
        self.check_selectors()
    }

    fn check_selectors(&self) -> Result<(), String> {
        let selectable = self.role.selectable();
        for (index, selector) in self.selectors.iter().enumerate() {
            if self.selectors[..index].iter().any(|other| other.role == selector.role) {
                return Err(format!("duplicated selector role: {}", selector.role.name()));
            }
            if !selectable.contains(&selector.role) {
                let names: Vec<&str> = selectable.iter().map(|role| role.name()).collect();
                return Err(format!(
                    "{} role supports only {} selectors",
                    self.role.name(),
                    names.join(", ")
                ));
            }
            selector::check_fields(&selector.field)?;
            selector::check_labels(&selector.label)?;
        }
        Ok(())
    }

    /// What to select objects of a kind by.
    pub(super) fn selector(&self, role: Role) -> Option<&SelectorConfig> {
        self.selectors.iter().find(|selector| selector.role == role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_contradicts_itself_is_refused_in_the_words_of_the_reference() {
        for (yaml, expected) in [
            ("{}", "role missing (one of: pod, service, endpoints, endpointslice, node, ingress)"),
            ("{role: vm}", r#"unknown Kubernetes SD role "vm""#),
            (
                "{role: pod, kubeconfig_file: a, api_server: 'http://b'}",
                "cannot use 'kubeconfig_file' and 'api_server' simultaneously",
            ),
            (
                "{role: pod, kubeconfig_file: a, bearer_token: b}",
                "cannot use a custom HTTP client configuration together with 'kubeconfig_file'",
            ),
            (
                "{role: pod, bearer_token: b}",
                "to use custom HTTP client configuration please provide the 'api_server' URL explicitly",
            ),
            (
                "{role: pod, api_server: 'http://b', namespaces: {own_namespace: true}}",
                "cannot use 'api_server' and 'namespaces.own_namespace' simultaneously",
            ),
            ("{role: service, selectors: [{role: pod}]}", "service role supports only service selectors"),
            ("{role: pod, selectors: [{role: pod}, {role: pod}]}", "duplicated selector role: pod"),
            (
                "{role: pod, selectors: [{role: pod, field: x}]}",
                "invalid selector: 'x'; can't understand 'x'",
            ),
            ("{role: pod, selectors: [{role: pod, label: 'a in b'}]}", "unable to parse"),
            ("{role: pod, attach_metadata: {pod: true}}", "pod"),
        ] {
            let error = serde_saphyr::from_str::<KubernetesSdConfig>(yaml).unwrap_err().to_string();
            assert!(error.contains(expected), "{yaml}: {error}");
        }
        let yaml = "{role: pod, selectors: [{role: node, label: 'a in (b, c), !d', field: 'x=y,z!=w'}]}";
        let config: KubernetesSdConfig = serde_saphyr::from_str(yaml).unwrap();
        assert_eq!(config.selector(Role::Node).unwrap().field, "x=y,z!=w");
    }
}
