//! Discovery of instances in Amazon's EC2: all pages of `DescribeInstances` at an interval, in signed requests.

use std::collections::BTreeMap;
use std::sync::Arc;

use client::aws::{AwsAccount, surroundings};
use client::{Client, ClientError};
use model::labels::Labels;

use self::api::{Api, ApiError, Instance};
pub use self::config::Ec2SdConfig;
use super::Context;
use super::group::TargetGroup;
use super::meta::{MetaLabels, host_port, sanitized};
use super::refresh::Refresh;

mod api;
pub mod config;

const PREFIX: &str = "__meta_ec2_";
/// What requests are signed for.
const SERVICE: &str = "ec2";

/// Lists the instances of an account in a region.
pub(crate) struct Ec2Discovery {
    config: Ec2SdConfig,
    client: Arc<Client>,
    /// Found at the first refresh, and again after it was refused.
    account: Option<AwsAccount>,
    /// Asked for once; a region seldom gets a zone more.
    zone_ids: Option<BTreeMap<String, String>>,
}

impl Ec2Discovery {
    pub(crate) fn new(config: &Ec2SdConfig, context: &Context) -> Result<Self, ClientError> {
        let options = client::Options { name: "ec2_sd".to_owned(), ..context.client.clone() };
        let client = Arc::new(Client::new(&config.http_client, options)?);
        Ok(Ec2Discovery { config: config.clone(), client, account: None, zone_ids: None })
    }
}

impl Refresh for Ec2Discovery {
    const MECHANISM: &'static str = "ec2";

    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, String> {
        let account = match self.account.take() {
            Some(account) => account,
            None => {
                let surroundings = surroundings(&self.client);
                AwsAccount::find(&self.config.account(), SERVICE, &surroundings).await?
            }
        };
        let api = Api { client: &self.client, account: &account, config: &self.config };
        if self.zone_ids.is_none() {
            let asked = api.zone_ids().await;
            let asked = asked.inspect_err(|error| {
                tracing::debug!(discovery = "ec2", ?error, "Unable to describe availability zones")
            });
            self.zone_ids = asked.ok();
        }
        let reservations = match api.reservations().await {
            Ok(reservations) => reservations,
            Err(ApiError::Credentials(error)) => {
                return Err(format!("could not describe instances: {error}"));
            }
            Err(ApiError::Other(error)) => {
                self.account = Some(account);
                return Err(format!("could not describe instances: {error}"));
            }
        };
        let mut targets = Vec::new();
        for reservation in &reservations {
            for instance in &reservation.instances.items {
                let zone = &instance.placement.availability_zone;
                let zone_id = self.zone_ids.as_ref().and_then(|ids| ids.get(zone)).map(String::as_str);
                let mut labels = MetaLabels::new(PREFIX);
                labels
                    .set("region", &account.region)
                    .set("owner_id", &reservation.owner_id)
                    .set_some("availability_zone_id", zone_id);
                targets.extend(target(instance, self.config.port, labels));
            }
        }
        let source = account.region.clone();
        self.account = Some(account);
        Ok(vec![TargetGroup { targets, labels: Labels::empty(), source }])
    }
}

/// The target of an instance that has an address.
fn target(instance: &Instance, port: u16, mut labels: MetaLabels) -> Option<Labels> {
    let ipv6 = Ipv6::of(instance);
    let default_ipv6 = ipv6.preferred();
    let address = Some(instance.private_ip_address.as_str()).filter(|address| !address.is_empty());
    labels
        .set_address(&host_port(address.or(default_ipv6)?, port))
        .set("instance_id", &instance.instance_id)
        .set_some("default_ipv6_address", default_ipv6)
        .set("private_ip", &instance.private_ip_address)
        .set("private_dns_name", &instance.private_dns_name)
        .set("platform", &instance.platform)
        .set("ami", &instance.image_id)
        .set("availability_zone", &instance.placement.availability_zone)
        .set("instance_state", &instance.state.name)
        .set("instance_type", &instance.instance_type)
        .set("instance_lifecycle", &instance.instance_lifecycle)
        .set("architecture", &instance.architecture)
        .set("primary_ipv6_addresses", &enclosed(&ipv6.primary))
        .set("ipv6_addresses", &enclosed(&ipv6.all));
    if !instance.public_ip_address.is_empty() {
        labels
            .set("public_ip", &instance.public_ip_address)
            .set("public_dns_name", &instance.public_dns_name);
    }
    if !instance.vpc_id.is_empty() {
        labels
            .set("vpc_id", &instance.vpc_id)
            .set("primary_subnet_id", &instance.subnet_id)
            .set("subnet_id", &format!(",{},", subnets(instance).join(",")));
    }
    for tag in &instance.tags.items {
        labels.set(&format!("tag_{}", sanitized(&tag.key)), &tag.value);
    }
    Some(labels.build())
}

/// The subnets of an instance's interfaces, in the order of EC2, each once.
fn subnets(instance: &Instance) -> Vec<&str> {
    let mut subnets: Vec<&str> = Vec::new();
    for interface in &instance.interfaces.items {
        if !interface.subnet_id.is_empty() && !subnets.contains(&interface.subnet_id.as_str()) {
            subnets.push(&interface.subnet_id);
        }
    }
    subnets
}

/// Values with a comma between, before and after them; nothing if there are none.
fn enclosed(values: &[&str]) -> String {
    if values.is_empty() { String::new() } else { format!(",{},", values.join(",")) }
}

/// The IPv6 addresses of an instance in a virtual network.
#[derive(Default)]
struct Ipv6<'a> {
    /// For each device that one, or `""`, which keeps the others in their places.
    primary: Vec<&'a str>,
    all: Vec<&'a str>,
}

impl<'a> Ipv6<'a> {
    fn of(instance: &'a Instance) -> Self {
        let mut ipv6 = Ipv6::default();
        let interfaces = instance.interfaces.items.iter().filter(|interface| !interface.subnet_id.is_empty());
        for interface in interfaces.filter(|_| !instance.vpc_id.is_empty()) {
            let device = usize::from(interface.attachment.device_index);
            for address in &interface.ipv6_addresses.items {
                ipv6.all.push(&address.address);
                if address.is_primary {
                    let count = ipv6.primary.len().max(device + 1);
                    ipv6.primary.resize(count, "");
                    ipv6.primary[device] = &address.address;
                }
            }
        }
        ipv6
    }

    /// The first primary address, or else the first.
    fn preferred(&self) -> Option<&'a str> {
        self.primary.iter().chain(&self.all).copied().find(|address| !address.is_empty())
    }
}
