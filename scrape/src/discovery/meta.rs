//! The labels that a mechanism tells of its targets: `__meta_<mechanism>_…`.

use std::collections::BTreeMap;
use std::fmt::Display;

use model::labels::{Labels, LabelsBuilder};

use super::group::ADDRESS_LABEL;

/// Labels under a mechanism's prefix. Empty values are left out, as everywhere.
#[derive(Clone, Debug)]
pub(super) struct MetaLabels {
    prefix: &'static str,
    labels: LabelsBuilder,
}

impl MetaLabels {
    /// No labels yet; `prefix` is `__meta_<mechanism>_`.
    pub(super) fn new(prefix: &'static str) -> Self {
        MetaLabels { prefix, labels: LabelsBuilder::new() }
    }

    /// Sets the label `<prefix><name>`.
    pub(super) fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.labels.set(&format!("{}{name}", self.prefix), value);
        self
    }

    /// As [`Self::set`], with what prints.
    pub(super) fn set_shown(&mut self, name: &str, value: impl Display) -> &mut Self {
        self.set(name, &value.to_string())
    }

    /// As [`Self::set`], if there is a value.
    pub(super) fn set_some(&mut self, name: &str, value: Option<impl AsRef<str>>) -> &mut Self {
        if let Some(value) = value {
            self.set(name, value.as_ref());
        }
        self
    }

    /// Sets `<prefix><kind>_<key>` for each pair, the key made fit for a label's name.
    pub(super) fn set_each(&mut self, kind: &str, pairs: &BTreeMap<String, String>) -> &mut Self {
        for (key, value) in pairs {
            self.set(&format!("{kind}_{}", sanitized(key)), value);
        }
        self
    }

    /// Sets the address.
    pub(super) fn set_address(&mut self, address: &str) -> &mut Self {
        self.set_plain(ADDRESS_LABEL, address)
    }

    /// Sets a label that has no prefix.
    pub(super) fn set_plain(&mut self, name: &str, value: &str) -> &mut Self {
        self.labels.set(name, value);
        self
    }

    /// Takes over the labels of others, which win.
    pub(super) fn extend(&mut self, others: &MetaLabels) -> &mut Self {
        for (name, value) in others.labels.iter() {
            self.labels.set(name, value);
        }
        self
    }

    /// The value of `<prefix><name>`, empty if it isn't set.
    pub(super) fn value(&self, name: &str) -> &str {
        self.labels.value(&format!("{}{name}", self.prefix))
    }

    pub(super) fn build(&self) -> Labels {
        self.labels.build()
    }
}

/// A key with an underscore in place of every character that a label's name can't have.
pub(super) fn sanitized(key: &str) -> String {
    key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// `host:port`, with brackets around an IPv6 address.
pub(super) fn host_port(host: &str, port: impl Display) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_names_and_addresses_get_brackets() {
        assert_eq!(sanitized("app.kubernetes.io/name-é"), "app_kubernetes_io_name__");
        assert_eq!(host_port("10.0.0.1", 80), "10.0.0.1:80");
        assert_eq!(host_port("fd00::1", 80), "[fd00::1]:80");
    }

    #[test]
    fn labels_get_the_prefix_and_empty_ones_are_left_out() {
        let mut labels = MetaLabels::new("__meta_x_");
        labels.set("a", "1").set("b", "").set_shown("c", true).set_address("h:1");
        let mut others = MetaLabels::new("__meta_x_");
        others.set("a", "2").set_each("tag", &BTreeMap::from([("k-1".to_owned(), "v".to_owned())]));
        labels.extend(&others);
        assert_eq!(
            labels.build().to_string(),
            r#"{__address__="h:1", __meta_x_a="2", __meta_x_c="true", __meta_x_tag_k_1="v"}"#
        );
        assert_eq!(labels.value("a"), "2");
    }
}
