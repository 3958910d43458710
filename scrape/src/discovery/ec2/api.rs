//! EC2's API: what is asked, and the XML of its answers.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use client::Client;
use client::aws::AwsAccount;
use http::{Request, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use url::form_urlencoded::Serializer;

use super::config::Ec2SdConfig;
use crate::discovery::ask::{Answer, ask};

/// The version of the API whose answers are read here.
const VERSION: &str = "2016-11-15";
/// How long a page may take.
const PAGE_TIMEOUT: Duration = Duration::from_secs(60);
/// The most pages of instances: with the thousand that a page can have, more than any account has.
const PAGES_MAX: usize = 10_000;

/// Why a question wasn't answered.
#[derive(Debug)]
pub(super) enum ApiError {
    /// The credentials aren't valid, or not any more.
    Credentials(String),
    /// Anything else.
    Other(String),
}

impl From<String> for ApiError {
    fn from(error: String) -> Self {
        ApiError::Other(error)
    }
}

/// Asks EC2 in an account's name.
pub(super) struct Api<'a> {
    pub(super) client: &'a Client,
    pub(super) account: &'a AwsAccount,
    pub(super) config: &'a Ec2SdConfig,
}

impl Api<'_> {
    /// The identifiers of availability zones by their names, which differ among accounts.
    pub(super) async fn zone_ids(&self) -> Result<BTreeMap<String, String>, ApiError> {
        let zones: Zones = self.ask("DescribeAvailabilityZones", Vec::new()).await?;
        let named = zones.zones.items.into_iter().filter(|zone| !zone.name.is_empty() && !zone.id.is_empty());
        Ok(named.map(|zone| (zone.name, zone.id)).collect())
    }

    /// All instances, those that were reserved together in one reservation.
    pub(super) async fn reservations(&self) -> Result<Vec<Reservation>, ApiError> {
        let mut reservations = Vec::new();
        let mut next_page = String::new();
        for _ in 0..PAGES_MAX {
            let mut parameters = self.filters();
            if !next_page.is_empty() {
                parameters.push(("NextToken".to_owned(), next_page));
            }
            let page: Page = self.ask("DescribeInstances", parameters).await?;
            reservations.extend(page.reservations.items);
            if page.next_token.is_empty() {
                return Ok(reservations);
            }
            next_page = page.next_token;
        }
        Err(ApiError::Other(format!("there are more than {PAGES_MAX} pages")))
    }

    fn filters(&self) -> Vec<(String, String)> {
        let mut parameters = Vec::new();
        for (number, filter) in (1..).zip(&self.config.filters) {
            parameters.push((format!("Filter.{number}.Name"), filter.name.clone()));
            for (value_number, value) in (1..).zip(&filter.values) {
                parameters.push((format!("Filter.{number}.Value.{value_number}"), value.clone()));
            }
        }
        parameters
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        action: &str,
        parameters: Vec<(String, String)>,
    ) -> Result<T, ApiError> {
        let request = self.signed(action, parameters).await?;
        let answer = timeout(PAGE_TIMEOUT, ask(self.client, request)).await;
        let answer = answer.map_err(|_| "context deadline exceeded".to_owned()).flatten()?;
        if answer.status != StatusCode::OK {
            return Err(refusal(answer));
        }
        let body = std::str::from_utf8(&answer.body).map_err(|error| error.to_string())?;
        quick_xml::de::from_str(body).map_err(|error| ApiError::Other(format!("unexpected answer: {error}")))
    }

    async fn signed(
        &self,
        action: &str,
        parameters: Vec<(String, String)>,
    ) -> Result<Request<Bytes>, ApiError> {
        let body = form(action, parameters);
        let request = Request::post(self.url())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded; charset=utf-8")
            .body(Bytes::from(body))
            .map_err(|error| ApiError::Other(error.to_string()))?;
        self.account.sign(request).await.map_err(ApiError::Credentials)
    }

    fn url(&self) -> String {
        let region = &self.account.region;
        match self.config.endpoint.trim_end_matches('/') {
            "" if region.starts_with("cn-") => format!("https://ec2.{region}.amazonaws.com.cn/"),
            "" => format!("https://ec2.{region}.amazonaws.com/"),
            endpoint => format!("{endpoint}/"),
        }
    }
}

/// A question as a form.
fn form(action: &str, parameters: Vec<(String, String)>) -> String {
    let mut form = Serializer::new(String::new());
    form.append_pair("Action", action).append_pair("Version", VERSION).extend_pairs(parameters);
    form.finish()
}

/// What the API says when it refuses.
fn refusal(answer: Answer) -> ApiError {
    let body = String::from_utf8_lossy(&answer.body);
    let errors: Refusal = quick_xml::de::from_str(&body).unwrap_or_default();
    match errors.errors.errors.into_iter().next() {
        Some(error) => {
            let text = format!("api error {}: {}", error.code, error.message);
            match error.code.as_str() {
                "AuthFailure" | "UnauthorizedOperation" => ApiError::Credentials(text),
                _ => ApiError::Other(text),
            }
        }
        None => match answer.ok() {
            Ok(_) => ApiError::Other("unexpected answer".to_owned()),
            Err(error) => ApiError::Other(error),
        },
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Refusal {
    #[serde(rename = "Errors")]
    errors: RefusalErrors,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RefusalErrors {
    #[serde(rename = "Error")]
    errors: Vec<RefusalError>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RefusalError {
    code: String,
    message: String,
}

/// A list as EC2 writes it: each entry is an `item`.
#[derive(Debug, Deserialize)]
pub(super) struct List<T> {
    #[serde(rename = "item", default = "Vec::new")]
    pub(super) items: Vec<T>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        List { items: Vec::new() }
    }
}

#[derive(Debug, Deserialize)]
struct Zones {
    #[serde(rename = "availabilityZoneInfo", default)]
    zones: List<Zone>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Zone {
    #[serde(rename = "zoneName")]
    name: String,
    #[serde(rename = "zoneId")]
    id: String,
}

#[derive(Debug, Deserialize)]
struct Page {
    #[serde(rename = "reservationSet", default)]
    reservations: List<Reservation>,
    #[serde(rename = "nextToken", default)]
    next_token: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Reservation {
    pub(super) owner_id: String,
    #[serde(rename = "instancesSet")]
    pub(super) instances: List<Instance>,
}

/// An instance. What it doesn't have is empty.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Instance {
    pub(super) instance_id: String,
    pub(super) image_id: String,
    #[serde(rename = "instanceState")]
    pub(super) state: State,
    pub(super) instance_type: String,
    pub(super) instance_lifecycle: String,
    pub(super) architecture: String,
    pub(super) platform: String,
    pub(super) placement: Placement,
    pub(super) private_dns_name: String,
    pub(super) private_ip_address: String,
    #[serde(rename = "dnsName")]
    pub(super) public_dns_name: String,
    #[serde(rename = "ipAddress")]
    pub(super) public_ip_address: String,
    pub(super) vpc_id: String,
    pub(super) subnet_id: String,
    #[serde(rename = "networkInterfaceSet")]
    pub(super) interfaces: List<Interface>,
    #[serde(rename = "tagSet")]
    pub(super) tags: List<Tag>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct State {
    pub(super) name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Placement {
    pub(super) availability_zone: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Interface {
    pub(super) subnet_id: String,
    pub(super) attachment: Attachment,
    #[serde(rename = "ipv6AddressesSet")]
    pub(super) ipv6_addresses: List<Ipv6Address>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Attachment {
    pub(super) device_index: u8,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Ipv6Address {
    #[serde(rename = "ipv6Address")]
    pub(super) address: String,
    #[serde(rename = "isPrimaryIpv6")]
    pub(super) is_primary: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tag {
    pub(super) key: String,
    pub(super) value: String,
}
