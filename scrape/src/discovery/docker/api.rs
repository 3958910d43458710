//! The API of a Docker engine.

use std::collections::BTreeMap;

use client::{Client, ClientError};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use url::Url;

use super::config::{Engine, Filter};
use crate::discovery::Context;
use crate::discovery::ask::get;
use crate::discovery::json::null_is_default;
use crate::discovery::meta::MetaLabels;

/// Asks an engine.
pub(super) struct Api {
    client: Client,
    base: String,
    engine: Engine,
    /// The version of the API that the engine prefers, once it was asked; `""` if it doesn't say.
    version: Option<String>,
}

impl Api {
    pub(super) fn new(engine: &Engine, name: &str, context: &Context) -> Result<Self, ClientError> {
        let listener = engine.listener().map_err(ClientError::Config)?;
        let options = client::Options {
            name: name.to_owned(),
            unix_socket: listener.unix_socket.or_else(|| context.client.unix_socket.clone()),
            ..context.client.clone()
        };
        let client = Client::new(&engine.http_client, options)?;
        Ok(Api { client, base: listener.base, engine: engine.clone(), version: None })
    }

    /// What the engine lists at a path; all of it, or what the configuration's filters leave.
    pub(super) async fn list<T: DeserializeOwned>(
        &mut self,
        path: &str,
        is_filtered: bool,
    ) -> Result<Vec<T>, String> {
        // An answer that comes after the next question is due is of no use.
        let answer = timeout(self.engine.refresh_interval.0, self.ask(path, is_filtered)).await;
        answer
            .unwrap_or_else(|_| Err("context deadline exceeded".to_owned()))
            .map_err(|error| format!("error while listing {path}: {error}"))
    }

    async fn ask<T: DeserializeOwned>(&mut self, path: &str, is_filtered: bool) -> Result<Vec<T>, String> {
        let version = match &self.version {
            Some(version) => version.clone(),
            None => {
                let answer = get(&self.client, &format!("{}/_ping", self.base)).await?.ok()?;
                let version = answer.headers.get("api-version").and_then(|version| version.to_str().ok());
                let version = version.map(|version| format!("/v{version}")).unwrap_or_default();
                self.version.insert(version).clone()
            }
        };
        let mut url =
            Url::parse(&format!("{}{version}/{path}", self.base)).map_err(|error| error.to_string())?;
        if is_filtered && !self.engine.filters.is_empty() {
            url.query_pairs_mut().append_pair("filters", &filters_json(&self.engine.filters)?);
        }
        let answer = get(&self.client, url.as_str()).await?.ok();
        // Another engine may be behind the address after a failure.
        let answer = answer.inspect_err(|_| self.version = None)?;
        answer.json()
    }

    /// For each network its labels, under a prefix.
    pub(super) async fn networks(
        &mut self,
        prefix: &'static str,
    ) -> Result<BTreeMap<String, MetaLabels>, String> {
        let networks: Vec<Network> = self.list("networks", false).await?;
        Ok(networks.into_iter().map(|network| (network.id.clone(), network.labels(prefix))).collect())
    }
}

/// `{"name": {"value": true, …}, …}`
fn filters_json(filters: &[Filter]) -> Result<String, String> {
    let mut by_name: BTreeMap<&str, BTreeMap<&str, bool>> = BTreeMap::new();
    for filter in filters {
        let values = by_name.entry(&filter.name).or_default();
        values.extend(filter.values.iter().map(|value| (value.as_str(), true)));
    }
    serde_json::to_string(&by_name).map_err(|error| error.to_string())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Network {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    internal: bool,
    #[serde(default)]
    ingress: bool,
    #[serde(default, deserialize_with = "null_is_default")]
    labels: BTreeMap<String, String>,
}

impl Network {
    fn labels(&self, prefix: &'static str) -> MetaLabels {
        let mut labels = MetaLabels::new(prefix);
        labels
            .set("network_id", &self.id)
            .set("network_name", &self.name)
            .set("network_scope", &self.scope)
            .set_shown("network_internal", self.internal)
            .set_shown("network_ingress", self.ingress)
            .set_each("network_label", &self.labels);
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_of_one_name_are_put_together() {
        let filter = |name: &str, values: &[&str]| Filter {
            name: name.to_owned(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        let filters = [filter("label", &["a", "b"]), filter("status", &["up"]), filter("label", &["c"])];
        assert_eq!(
            filters_json(&filters).unwrap(),
            r#"{"label":{"a":true,"b":true,"c":true},"status":{"up":true}}"#
        );
    }
}
