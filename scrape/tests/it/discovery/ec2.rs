//! EC2: an API that checks signatures and gives its instances in pages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ring::{digest, hmac};

use super::{Asked, Reply, Server, now, start, until, until_asked};

const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const REGION: &str = "eu-west-2";

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn keyed(key: impl AsRef<[u8]>, text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()), text.as_bytes())
}

/// The signature that Amazon's documentation of version 4 asks for.
fn signature(asked: &Asked, signed_headers: &str, date: &str) -> String {
    let headers: String = signed_headers
        .split(';')
        .map(|name| format!("{name}:{}\n", asked.headers[name].to_str().unwrap().trim()))
        .collect();
    let body = hex(digest::digest(&digest::SHA256, &asked.body));
    let request = format!("POST\n{}\n\n{headers}\n{signed_headers}\n{body}", asked.path);
    let day = &date[..8];
    let hashed = hex(digest::digest(&digest::SHA256, request.as_bytes()));
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{day}/{REGION}/ec2/aws4_request\n{hashed}");
    let key = keyed(format!("AWS4{SECRET}"), day);
    let key = ["ec2", "aws4_request"].iter().fold(keyed(key, REGION), |key, text| keyed(key, text));
    hex(keyed(key, &text))
}

fn is_signed(asked: &Asked) -> bool {
    let authorization = asked.headers["authorization"].to_str().unwrap();
    let date = asked.headers["x-amz-date"].to_str().unwrap();
    let credential = format!("AWS4-HMAC-SHA256 Credential={KEY}/{}/{REGION}/ec2/aws4_request", &date[..8]);
    let parts: Vec<&str> = authorization.split(", ").collect();
    let signed_headers = parts[1].strip_prefix("SignedHeaders=").unwrap();
    let expected = format!("Signature={}", signature(asked, signed_headers, date));
    parts[0] == credential && signed_headers.contains("host") && parts[2] == expected
}

const ZONES: &str = "<DescribeAvailabilityZonesResponse><availabilityZoneInfo><item><zoneName>eu-west-2a</zoneName>\
    <zoneId>euw2-az2</zoneId><zoneState>available</zoneState></item></availabilityZoneInfo>\
    </DescribeAvailabilityZonesResponse>";

const FIRST_PAGE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
  <requestId>r</requestId>
  <reservationSet><item><reservationId>r-1</reservationId><ownerId>1234</ownerId><groupSet/>
    <instancesSet>
      <item>
        <instanceId>i-1</instanceId><imageId>ami-1</imageId>
        <instanceState><code>16</code><name>running</name></instanceState>
        <privateDnsName>ip-10-0-0-1.internal</privateDnsName><dnsName>ec2-1.example</dnsName>
        <instanceType>t3.micro</instanceType><platform>windows</platform>
        <placement><availabilityZone>eu-west-2a</availabilityZone><groupName/></placement>
        <subnetId>subnet-1</subnetId><vpcId>vpc-1</vpcId>
        <privateIpAddress>10.0.0.1</privateIpAddress><ipAddress>3.3.3.3</ipAddress>
        <architecture>x86_64</architecture><instanceLifecycle>spot</instanceLifecycle>
        <tagSet><item><key>Name</key><value>web &amp; co</value></item><item><key>a:b</key><value>c</value></item></tagSet>
        <networkInterfaceSet>
          <item><subnetId>subnet-1</subnetId><attachment><deviceIndex>1</deviceIndex></attachment>
            <ipv6AddressesSet>
              <item><ipv6Address>fd00::1</ipv6Address><isPrimaryIpv6>true</isPrimaryIpv6></item>
              <item><ipv6Address>fd00::2</ipv6Address><isPrimaryIpv6>false</isPrimaryIpv6></item>
            </ipv6AddressesSet></item>
          <item><subnetId>subnet-2</subnetId></item><item><subnetId>subnet-1</subnetId></item>
        </networkInterfaceSet>
      </item>
      <item><instanceId>i-without-address</instanceId></item>
    </instancesSet></item></reservationSet>
  <nextToken>page+2</nextToken>
</DescribeInstancesResponse>"#;

const LAST_PAGE: &str = "<DescribeInstancesResponse><reservationSet><item><ownerId>5</ownerId><instancesSet>\
    <item><instanceId>i-2</instanceId><vpcId>v</vpcId><networkInterfaceSet><item><subnetId>s</subnetId>\
    <ipv6AddressesSet><item><ipv6Address>fd00::9</ipv6Address></item></ipv6AddressesSet></item>\
    </networkInterfaceSet></item></instancesSet></item></reservationSet></DescribeInstancesResponse>";

const REFUSAL: &str = "<Response><Errors><Error><Code>AuthFailure</Code><Message>no</Message></Error></Errors>\
    <RequestID>r</RequestID></Response>";

fn form(asked: &Asked) -> BTreeMap<String, String> {
    let pairs = url::form_urlencoded::parse(&asked.body);
    pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

fn api(refuses: &Arc<AtomicBool>) -> Server {
    let refuses = Arc::clone(refuses);
    Server::new(move |asked: Asked| -> Reply {
        let form = form(&asked);
        if refuses.load(Ordering::Relaxed) || !is_signed(&asked) {
            return now(401, REFUSAL);
        }
        let page = form.get("NextToken").map(String::as_str);
        match (form["Action"].as_str(), page) {
            ("DescribeAvailabilityZones", _) => now(200, ZONES),
            ("DescribeInstances", None) => now(200, FIRST_PAGE),
            ("DescribeInstances", Some("page+2")) => now(200, LAST_PAGE),
            other => panic!("{other:?}"),
        }
    })
}

#[tokio::test]
async fn instances_of_all_pages_are_targets() {
    let refuses = Arc::new(AtomicBool::new(false));
    let server = api(&refuses);
    let address = server.listen().await;
    let mut discovery = start(&format!(
        "ec2_sd_configs: [{{endpoint: 'http://{address}', region: {REGION}, access_key: {KEY}, \
         secret_key: '{SECRET}', port: 9100, refresh_interval: 20ms, \
         filters: [{{name: 'tag:Name', values: [web, db]}}]}}]"
    ));
    let found = until(&mut discovery, "instances", |found| !found.is_empty()).await;
    assert_eq!(
        found,
        [
            concat!(
                r#"{__address__="10.0.0.1:9100", __meta_ec2_ami="ami-1", __meta_ec2_architecture="x86_64", "#,
                r#"__meta_ec2_availability_zone="eu-west-2a", __meta_ec2_availability_zone_id="euw2-az2", "#,
                r#"__meta_ec2_default_ipv6_address="fd00::1", __meta_ec2_instance_id="i-1", "#,
                r#"__meta_ec2_instance_lifecycle="spot", __meta_ec2_instance_state="running", "#,
                r#"__meta_ec2_instance_type="t3.micro", __meta_ec2_ipv6_addresses=",fd00::1,fd00::2,", "#,
                r#"__meta_ec2_owner_id="1234", __meta_ec2_platform="windows", "#,
                r#"__meta_ec2_primary_ipv6_addresses=",,fd00::1,", __meta_ec2_primary_subnet_id="subnet-1", "#,
                r#"__meta_ec2_private_dns_name="ip-10-0-0-1.internal", __meta_ec2_private_ip="10.0.0.1", "#,
                r#"__meta_ec2_public_dns_name="ec2-1.example", __meta_ec2_public_ip="3.3.3.3", "#,
                r#"__meta_ec2_region="eu-west-2", __meta_ec2_subnet_id=",subnet-1,subnet-2,", "#,
                r#"__meta_ec2_tag_Name="web & co", __meta_ec2_tag_a_b="c", __meta_ec2_vpc_id="vpc-1"}"#
            ),
            concat!(
                r#"{__address__="[fd00::9]:9100", __meta_ec2_default_ipv6_address="fd00::9", "#,
                r#"__meta_ec2_instance_id="i-2", __meta_ec2_ipv6_addresses=",fd00::9,", __meta_ec2_owner_id="5", "#,
                r#"__meta_ec2_region="eu-west-2", __meta_ec2_subnet_id=",s,", __meta_ec2_vpc_id="v"}"#
            ),
        ]
    );
    let first = server.asked().into_iter().map(|asked| form(&asked));
    let first = first.into_iter().find(|form| form["Action"] == "DescribeInstances").unwrap();
    let filter = ["Filter.1.Name", "Filter.1.Value.1", "Filter.1.Value.2"].map(|name| first[name].as_str());
    assert_eq!(filter, ["tag:Name", "web", "db"]);

    refuses.store(true, Ordering::Relaxed);
    let before = server.asked().len();
    until_asked(&server, "again after a refusal", |asked| asked.len() > before + 2).await;
    assert_eq!(super::targets(&discovery).len(), 2, "the last good group stands");
}
