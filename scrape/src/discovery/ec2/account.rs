//! Who asks Amazon, and where: the region, and credentials to sign requests with.
//!
//! The credentials are those of the configuration, or what `reqsign` finds as Amazon's own tools do: in the
//! environment, the shared files, a web identity, a container's or a machine's metadata. A role is taken on with them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use client::Client;
use http::{Request, Response};
use ini::Ini;
use reqsign_aws_v4::{
    AssumeRoleCredentialProvider, Credential, DefaultCredentialProvider, RequestSigner,
    StaticCredentialProvider,
};
use reqsign_core::{Context, Error, FileRead, HttpSend, OsEnv, Signer};
use tokio::time::timeout;

use super::config::Ec2SdConfig;
use crate::discovery::ask::ask;

/// How long an answer to a question about credentials may take. Machines outside of Amazon's network get none from
/// the metadata service.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
const METADATA_ENDPOINT: &str = "http://169.254.169.254";
/// How long a token for the metadata service is to be valid: it is used for one question.
const METADATA_TOKEN_SECONDS: &str = "60";

/// A region, and how requests to a service there are signed.
pub(super) struct Account {
    pub(super) region: String,
    pub(super) signer: Signer<Credential>,
}

/// The program's surroundings: files, environment, network.
pub(super) fn surroundings(client: &Arc<Client>) -> Context {
    Context::new().with_env(OsEnv).with_file_read(Files).with_http_send(Http(Arc::clone(client)))
}

impl Account {
    /// Finds out the region; credentials are looked for when the first request is signed.
    pub(super) async fn find(config: &Ec2SdConfig, context: &Context) -> Result<Self, String> {
        let region = region(config, context).await;
        let region = region.map_err(|error| format!("could not determine AWS region: {error}"))?;
        let signer = signer(config, context, &region);
        Ok(Account { region, signer })
    }
}

fn signer(config: &Ec2SdConfig, context: &Context, region: &str) -> Signer<Credential> {
    let ec2 = RequestSigner::new("ec2", region);
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
        return signer.with_request_signer(ec2);
    }
    let mut role = AssumeRoleCredentialProvider::new(config.role_arn.clone(), signer)
        .with_region(region.to_owned())
        .with_regional_sts_endpoint();
    if !config.external_id.is_empty() {
        role = role.with_external_id(config.external_id.clone());
    }
    Signer::new(context.clone(), role, ec2)
}

async fn region(config: &Ec2SdConfig, context: &Context) -> Result<String, String> {
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
async fn region_of_profile(config: &Ec2SdConfig, context: &Context) -> Option<String> {
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
        let answer = answer.map_err(|_| "context deadline exceeded".to_owned()).flatten();
        let answer = answer.map_err(Error::unexpected)?;
        let mut response = Response::new(answer.body);
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        Ok(response)
    }
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
        let config: Ec2SdConfig = serde_saphyr::from_str(yaml).unwrap();
        let account = Account::find(&config, &context(home, envs)).await.unwrap();
        let request = Request::post("https://ec2.example/").body(()).unwrap();
        let (mut parts, ()) = request.into_parts();
        account.signer.sign(&mut parts, None).await.unwrap();
        let authorization = parts.headers["authorization"].to_str().unwrap();
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
}
