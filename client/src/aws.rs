//! Amazon's accounts: the region, and credentials to sign requests with (Signature Version 4).
//!
//! The credentials are those of the configuration, or what `reqsign` finds as Amazon's own tools do: in the
//! environment, the shared files, a web identity, a container's or a machine's metadata. A role is taken on with them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Limited};
use ini::Ini;
use reqsign_aws_v4::{
    AssumeRoleCredentialProvider, Credential, DefaultCredentialProvider, RequestSigner,
    StaticCredentialProvider,
};
use reqsign_core::hash::hex_sha256;
use reqsign_core::{Context, Error, FileRead, HttpSend, OsEnv, Signer};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::Client;
use crate::config::Secret;

/// The service whose requests are signed where a configuration says no other: Amazon's Prometheus.
const PROMETHEUS_SERVICE: &str = "aps";
const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
/// The longest answer to a question about credentials, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// How long an answer to a question about credentials may take. Machines outside of Amazon's network get none from
/// the metadata service.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
const METADATA_ENDPOINT: &str = "http://169.254.169.254";
/// How long a token for the metadata service is to be valid: it is used for one question.
const METADATA_TOKEN_SECONDS: &str = "60";

/// Whose account it is. What is empty is looked for where Amazon's own tools look.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AwsConfig {
    /// The region.
    pub region: String,
    /// Who asks, together with `secret_key`.
    pub access_key: String,
    /// See above.
    pub secret_key: Secret,
    /// Whose section of the shared files counts.
    pub profile: String,
    /// A role to take on.
    pub role_arn: String,
    /// What the role's owner wants to hear.
    pub external_id: String,
}

/// The section `sigv4` of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the fields are those of AwsConfig")]
pub struct SigV4Config {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub region: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub access_key: String,
    #[serde(skip_serializing_if = "Secret::is_empty")]
    pub secret_key: Secret,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub profile: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub role_arn: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub external_id: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub use_fips_sts_endpoint: bool,
}

impl SigV4Config {
    /// # Errors
    ///
    /// Half of the credentials, in the reference's words.
    pub fn validate(&self) -> Result<(), &'static str> {
        if self.access_key.is_empty() != self.secret_key.is_empty() {
            return Err(
                "must provide a AWS SigV4 Access key and Secret Key if credentials are specified in the \
                        SigV4 config",
            );
        }
        Ok(())
    }

    fn account(&self) -> AwsConfig {
        AwsConfig {
            region: self.region.clone(),
            access_key: self.access_key.clone(),
            secret_key: self.secret_key.clone(),
            profile: self.profile.clone(),
            role_arn: self.role_arn.clone(),
            external_id: self.external_id.clone(),
        }
    }
}

/// Signs requests as a section `sigv4` says.
#[derive(Debug)]
pub struct SigV4 {
    config: SigV4Config,
    surroundings: Context,
    /// Found when the first request is signed.
    account: tokio::sync::OnceCell<AwsAccount>,
}

impl SigV4 {
    /// Questions about credentials go through `client`.
    pub fn new(config: SigV4Config, client: &Arc<Client>) -> Self {
        SigV4 { config, surroundings: surroundings(client), account: tokio::sync::OnceCell::new() }
    }

    /// Signs a request; its headers mustn't change after that.
    ///
    /// # Errors
    ///
    /// There are no credentials or no region, in a sentence.
    pub async fn sign(&self, request: Request<Bytes>) -> Result<Request<Bytes>, String> {
        let find = async || {
            let config = self.config.account();
            AwsAccount::find(&config, PROMETHEUS_SERVICE, &self.surroundings).await
        };
        self.account.get_or_try_init(find).await?.sign(request).await
    }
}

/// A region, and how requests to a service there are signed.
#[derive(Debug)]
pub struct AwsAccount {
    /// The region.
    pub region: String,
    signer: Signer<Credential>,
}

/// The program's surroundings: files, environment, network.
pub fn surroundings(client: &Arc<Client>) -> Context {
    Context::new().with_env(OsEnv).with_file_read(Files).with_http_send(Http(Arc::clone(client)))
}

impl AwsAccount {
    /// Finds out the region; credentials are looked for when the first request is signed.
    ///
    /// # Errors
    ///
    /// Nobody knows the region, in a sentence.
    pub async fn find(config: &AwsConfig, service: &str, context: &Context) -> Result<Self, String> {
        let region = region(config, context).await;
        let region = region.map_err(|error| format!("could not determine AWS region: {error}"))?;
        let signer = signer(config, service, context, &region);
        Ok(AwsAccount { region, signer })
    }

    /// Signs a request; its headers mustn't change after that.
    ///
    /// # Errors
    ///
    /// There are no credentials, in a sentence.
    pub async fn sign(&self, request: Request<Bytes>) -> Result<Request<Bytes>, String> {
        let (mut parts, body) = request.into_parts();
        let hash = HeaderValue::from_str(&hex_sha256(&body)).map_err(|error| error.to_string())?;
        parts.headers.insert(CONTENT_SHA256, hash);
        let signed = self.signer.sign(&mut parts, None).await;
        signed.map_err(|error| format!("failed to sign the request: {error}"))?;
        Ok(Request::from_parts(parts, body))
    }
}

fn signer(config: &AwsConfig, service: &str, context: &Context, region: &str) -> Signer<Credential> {
    let requests = RequestSigner::new(service, region);
    let sts = RequestSigner::new("sts", region);
    let signer = if !config.access_key.is_empty() && !config.secret_key.is_empty() {
        let credentials = StaticCredentialProvider::new(&config.access_key, config.secret_key.expose());
        Signer::new(context.clone(), credentials, sts)
    } else {
        let credentials = DefaultCredentialProvider::builder();
        let credentials = match config.profile.as_str() {
            "" => credentials,
            // A profile that is asked for goes before the environment.
            profile => credentials.no_env().with_profile(profile),
        };
        Signer::new(context.clone(), credentials.build(), sts)
    };
    if config.role_arn.is_empty() {
        return signer.with_request_signer(requests);
    }
    let mut role = AssumeRoleCredentialProvider::new(config.role_arn.clone(), signer)
        .with_region(region.to_owned())
        .with_regional_sts_endpoint();
    if !config.external_id.is_empty() {
        role = role.with_external_id(config.external_id.clone());
    }
    Signer::new(context.clone(), role, requests)
}

async fn region(config: &AwsConfig, context: &Context) -> Result<String, String> {
    if !config.region.is_empty() {
        return Ok(config.region.clone());
    }
    let from_environment = ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().find_map(|name| context.env_var(name));
    if let Some(region) = from_environment.filter(|region| !region.is_empty()) {
        return Ok(region);
    }
    if let Some(region) = region_of_profile(config, context).await {
        return Ok(region);
    }
    region_of_machine(context).await.map_err(|error| format!("failed to get region from IMDS: {error}"))
}

/// The region that the profile's section of the shared configuration file names.
async fn region_of_profile(config: &AwsConfig, context: &Context) -> Option<String> {
    let path = context.env_var("AWS_CONFIG_FILE").unwrap_or_else(|| "~/.aws/config".to_owned());
    let path = context.expand_home_dir(&path)?;
    let text = context.file_read_as_string(&path).await.ok()?;
    let profile = Some(config.profile.clone()).filter(|profile| !profile.is_empty());
    let profile = profile.or_else(|| context.env_var("AWS_PROFILE"));
    let section = match profile.as_deref() {
        None | Some("default") => "default".to_owned(),
        Some(profile) => format!("profile {profile}"),
    };
    let file = Ini::load_from_str(&text).ok()?;
    file.section(Some(section))?.get("region").map(str::to_owned)
}

/// The region that the metadata service says the machine is in.
async fn region_of_machine(context: &Context) -> Result<String, String> {
    let endpoint = context.env_var("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    let endpoint = endpoint.unwrap_or_else(|| METADATA_ENDPOINT.to_owned());
    let endpoint = endpoint.trim_end_matches('/');
    let token = Request::put(format!("{endpoint}/latest/api/token"))
        .header("x-aws-ec2-metadata-token-ttl-seconds", METADATA_TOKEN_SECONDS);
    let token = metadata(context, token).await?;
    let region = Request::get(format!("{endpoint}/latest/meta-data/placement/region"))
        .header("x-aws-ec2-metadata-token", token);
    match metadata(context, region).await?.trim() {
        "" => Err("the answer is empty".to_owned()),
        region => Ok(region.to_owned()),
    }
}

async fn metadata(context: &Context, request: http::request::Builder) -> Result<String, String> {
    let request = request.body(Bytes::new()).map_err(|error| error.to_string())?;
    let answer = context.http_send_as_string(request).await.map_err(|error| error.to_string())?;
    match answer.status() {
        http::StatusCode::OK => Ok(answer.into_body()),
        status => Err(format!("server returned HTTP status {status}")),
    }
}

/// Sends what credentials need by the configuration's own client.
#[derive(Debug)]
struct Http(Arc<Client>);

impl HttpSend for Http {
    async fn http_send(&self, request: Request<Bytes>) -> reqsign_core::Result<Response<Bytes>> {
        let answer = timeout(ANSWER_TIMEOUT, ask(&self.0, request)).await;
        answer.map_err(|_| "context deadline exceeded".to_owned()).flatten().map_err(Error::unexpected)
    }
}

async fn ask(client: &Client, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
    let response = client.send(request).await.map_err(|error| error.to_string())?;
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| error.to_string())?;
    Ok(Response::from_parts(parts, body.to_bytes()))
}

/// Reads files.
#[derive(Debug)]
struct Files;

impl FileRead for Files {
    async fn file_read(&self, path: &str) -> reqsign_core::Result<Vec<u8>> {
        let read = tokio::fs::read(path).await;
        read.map_err(|error| Error::config_invalid(format!("{path}: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::path::Path;

    use http::StatusCode;
    use reqsign_core::StaticEnv;

    use super::*;

    /// A network with a metadata service and a token service.
    #[derive(Debug)]
    struct Network;

    impl HttpSend for Network {
        async fn http_send(&self, request: Request<Bytes>) -> reqsign_core::Result<Response<Bytes>> {
            let role = r#"{"Code": "Success", "AccessKeyId": "MACHINE", "SecretAccessKey": "s", "Token": "t",
                "Expiration": "2999-01-01T00:00:00Z", "LastUpdated": "2020-01-01T00:00:00Z", "Type": "AWS-HMAC"}"#;
            let assumed = "<AssumeRoleResponse><AssumeRoleResult><Credentials>\
                <AccessKeyId>ASIAROLEROLEROLEROLE</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>\
                <SessionToken>t</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration>\
                </Credentials></AssumeRoleResult></AssumeRoleResponse>";
            let uri = request.uri().to_string();
            let body = match uri.as_str() {
                "http://169.254.169.254/latest/api/token" => "token",
                "http://169.254.169.254/latest/meta-data/placement/region" => "eu-north-1",
                "http://169.254.169.254/latest/meta-data/iam/security-credentials/" => "machine",
                "http://169.254.169.254/latest/meta-data/iam/security-credentials/machine" => role,
                uri if uri.starts_with("https://sts.eu-west-1.amazonaws.com/") => {
                    let authorization = request.headers()["authorization"].to_str().unwrap();
                    assert!(authorization.contains("Credential=KEY/"), "{authorization}");
                    assert!(uri.contains("ExternalId=ext"), "{uri}");
                    assumed
                }
                other => panic!("{other}"),
            };
            let mut response = Response::new(Bytes::from(body));
            *response.status_mut() = StatusCode::OK;
            Ok(response)
        }
    }

    fn context(home: &Path, envs: &[(&str, &str)]) -> Context {
        let envs: HashMap<String, String> =
            envs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let env = StaticEnv { home_dir: Some(home.to_owned()), envs };
        Context::new().with_env(env).with_file_read(Files).with_http_send(Network)
    }

    /// The region, and the key that a request is signed with.
    async fn account(yaml: &str, home: &Path, envs: &[(&str, &str)]) -> (String, String) {
        let config: SigV4Config = serde_saphyr::from_str(yaml).unwrap();
        let account = AwsAccount::find(&config.account(), "ec2", &context(home, envs)).await.unwrap();
        let request = Request::post("https://ec2.example/").body(Bytes::from("body")).unwrap();
        let signed = account.sign(request).await.unwrap();
        let hash = "230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5";
        assert_eq!(signed.headers()["x-amz-content-sha256"], hash);
        let authorization = signed.headers()["authorization"].to_str().unwrap();
        let key = authorization.split("Credential=").nth(1).unwrap().split('/').next().unwrap();
        (account.region, key.to_owned())
    }

    #[tokio::test]
    async fn accounts_are_found_where_the_tools_of_amazon_find_them() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".aws")).unwrap();
        let files = [
            ("config", "[default]\nregion = us-west-1\n[profile p]\nregion = us-west-2\n"),
            ("credentials", "[p]\naws_access_key_id = PROFILE\naws_secret_access_key = s\n"),
        ];
        for (name, text) in files {
            std::fs::write(home.path().join(".aws").join(name), text).unwrap();
        }
        let empty = tempfile::tempdir().unwrap();
        let env: &[(&str, &str)] =
            &[("AWS_ACCESS_KEY_ID", "ENV"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_REGION", "eu-west-2")];
        for (yaml, home, env, region, key) in [
            ("{region: r, access_key: KEY, secret_key: s}", &home, env, "r", "KEY"),
            ("{}", &home, env, "eu-west-2", "ENV"),
            ("{profile: p}", &home, &env[..2], "us-west-2", "PROFILE"),
            ("{}", &empty, &[], "eu-north-1", "MACHINE"),
            (
                "{region: eu-west-1, access_key: KEY, secret_key: s, role_arn: 'arn:aws:iam::123456789012:role/r', external_id: ext}",
                &empty,
                &[],
                "eu-west-1",
                "ASIAROLEROLEROLEROLE",
            ),
        ] {
            let found = account(yaml, home.path(), env).await;
            assert_eq!((found.0.as_str(), found.1.as_str()), (region, key), "{yaml}");
        }
    }

    #[test]
    fn half_of_the_credentials_are_refused() {
        let config: SigV4Config = serde_saphyr::from_str("{region: r, access_key: KEY}").unwrap();
        assert!(config.validate().is_err());
        assert!(SigV4Config::default().validate().is_ok());
    }
}
