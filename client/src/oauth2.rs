//! Tokens from a token endpoint: client credentials (RFC 6749 §4.4) and signed assertions (RFC 7523).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use http_body_util::{BodyExt, Limited};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaEncoding, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::form_urlencoded::Serializer;

use crate::auth::{basic_value, secret_or_file, sensitive};
use crate::client::{Client, Options};
use crate::config::{HttpClientConfig, OAuth2};
use crate::error::ClientError;

/// The most bytes of a token endpoint's answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// How long before its end a token is replaced, so that it doesn't end on its way.
const EXPIRY_MARGIN: Duration = Duration::from_secs(10);
/// How long a token holds whose answer doesn't say: asked for again often enough to notice a revocation.
const LIFETIME_UNSAID: Duration = Duration::from_secs(5 * 60);
/// How long a signed assertion holds; it is sent at once.
const ASSERTION_SECONDS: i64 = 60 * 60;

/// Gets tokens, and keeps the newest one while it holds.
#[derive(Debug)]
pub(crate) struct TokenSource {
    config: OAuth2,
    client: Box<Client>,
    token: Mutex<Option<Token>>,
}

#[derive(Clone, Debug)]
struct Token {
    authorization: HeaderValue,
    secret: String,
    expires: Instant,
}

impl TokenSource {
    pub(crate) fn new(config: &OAuth2, options: &Options) -> Result<Self, ClientError> {
        let client = HttpClientConfig {
            tls_config: config.tls_config.clone(),
            proxy: config.proxy(),
            ..HttpClientConfig::default()
        };
        let options = Options { unix_socket: None, ..options.clone() };
        let client = Box::new(Client::new(&client, options)?);
        Ok(TokenSource { config: config.clone(), client, token: Mutex::new(None) })
    }

    /// The `Authorization` header of now.
    pub(crate) async fn authorization(&self) -> Result<HeaderValue, ClientError> {
        let secret = self.secret()?;
        let mut token = self.token.lock().await;
        if let Some(held) = token.as_ref()
            && held.secret == secret
            && Instant::now() < held.expires
        {
            return Ok(held.authorization.clone());
        }
        // Boxed because the client that fetches the token is itself a client that may need one.
        let fresh = Box::pin(self.fetch(secret)).await?;
        let authorization = fresh.authorization.clone();
        *token = Some(fresh);
        Ok(authorization)
    }

    /// The client's secret or its key, whichever proves who it is.
    fn secret(&self) -> Result<String, ClientError> {
        let config = &self.config;
        match config.signs() {
            false => {
                secret_or_file(&config.client_secret, &config.client_secret_file, "oauth2 client secret file")
            }
            true => secret_or_file(
                &config.client_certificate_key,
                &config.client_certificate_key_file,
                "oauth2 client certificate key file",
            ),
        }
    }

    async fn fetch(&self, secret: String) -> Result<Token, ClientError> {
        let request = self.request(&secret)?;
        let response = self.client.send(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| ClientError::OAuth2(format!("cannot fetch token: {error}")))?;
        let body = body.to_bytes();
        if !status.is_success() {
            let text = String::from_utf8_lossy(&body).into_owned();
            return Err(ClientError::OAuth2(format!("cannot fetch token: {status}\nResponse: {text}")));
        }
        let answer: Value = serde_json::from_slice(&body)
            .map_err(|error| ClientError::OAuth2(format!("cannot parse json: {error}")))?;
        let Some(access_token) = answer["access_token"].as_str().filter(|token| !token.is_empty()) else {
            return Err(ClientError::OAuth2("server response missing access_token".to_owned()));
        };
        let lifetime = answer["expires_in"].as_u64().filter(|seconds| *seconds > 0);
        let lifetime = lifetime.map_or(LIFETIME_UNSAID, Duration::from_secs);
        let scheme = match answer["token_type"].as_str() {
            Some(scheme) if !scheme.is_empty() && !scheme.eq_ignore_ascii_case("bearer") => scheme,
            _ => "Bearer",
        };
        Ok(Token {
            authorization: sensitive(&format!("{scheme} {access_token}"))?,
            secret,
            expires: Instant::now() + lifetime.saturating_sub(EXPIRY_MARGIN),
        })
    }

    fn request(&self, secret: &str) -> Result<Request<Bytes>, ClientError> {
        let config = &self.config;
        let mut form = Serializer::new(String::new());
        let mut request = Request::builder().method(Method::POST).uri(&config.token_url);
        if config.signs() {
            form.append_pair("grant_type", &config.grant_type);
            form.append_pair("assertion", &self.assertion(secret)?);
        } else {
            form.append_pair("grant_type", "client_credentials");
            let encode =
                |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let basic = basic_value(&encode(&config.client_id), &encode(secret));
            request = request.header(header::AUTHORIZATION, sensitive(&basic)?);
        }
        if !config.scopes.is_empty() {
            form.append_pair("scope", &config.scopes.join(" "));
        }
        for (name, value) in &config.endpoint_params {
            form.append_pair(name, value);
        }
        request
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Bytes::from(form.finish()))
            .map_err(|error| ClientError::OAuth2(error.to_string()))
    }

    /// A JWT that says who we are, signed with our key.
    fn assertion(&self, key: &str) -> Result<String, ClientError> {
        let config = &self.config;
        let algorithm =
            if config.signature_algorithm.is_empty() { "RS256" } else { &config.signature_algorithm };
        let mut header = json!({"alg": algorithm, "typ": "JWT"});
        if !config.client_certificate_key_id.is_empty() {
            header["kid"] = json!(config.client_certificate_key_id);
        }
        let or =
            |text: &str, default: &str| if text.is_empty() { default.to_owned() } else { text.to_owned() };
        let now = jwt_now();
        let mut claims: Map<String, Value> = config.claims.clone().into_iter().collect();
        claims.insert("iss".to_owned(), json!(or(&config.iss, &config.client_id)));
        claims.insert("sub".to_owned(), json!(config.client_id));
        claims.insert("aud".to_owned(), json!(or(&config.audience, &config.token_url)));
        claims.insert("iat".to_owned(), json!(now));
        claims.insert("exp".to_owned(), json!(now + ASSERTION_SECONDS));
        claims.insert("jti".to_owned(), json!(jwt_id()?));
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let signed = format!(
            "{}.{}",
            encode(header.to_string().as_bytes()),
            encode(Value::Object(claims).to_string().as_bytes())
        );
        let signature = sign(key, algorithm, signed.as_bytes())?;
        Ok(format!("{signed}.{}", encode(&signature)))
    }
}

/// Seconds since 1970. Tokens are about the world's time, which no test steps.
fn jwt_now() -> i64 {
    use model::time::Clock;
    model::time::SystemClock.now_ms() / 1000
}

fn jwt_id() -> Result<String, ClientError> {
    let bytes: [u8; 16] = ring::rand::generate(&SystemRandom::new())
        .map_err(|_| ClientError::OAuth2("no random numbers".to_owned()))?
        .expose();
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn sign(key: &str, algorithm: &str, message: &[u8]) -> Result<Vec<u8>, ClientError> {
    let failed = |reason: String| ClientError::OAuth2(format!("cannot sign the assertion: {reason}"));
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| failed(error.to_string()))?;
    let pair = match &key {
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
        _ => return Err(failed("not an RSA key".to_owned())),
    };
    let pair = pair.map_err(|error| failed(error.to_string()))?;
    let padding: &dyn RsaEncoding = match algorithm {
        "RS384" => &RSA_PKCS1_SHA384,
        "RS512" => &RSA_PKCS1_SHA512,
        _ => &RSA_PKCS1_SHA256,
    };
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(padding, &SystemRandom::new(), message, &mut signature)
        .map_err(|_| failed("the key doesn't fit the algorithm".to_owned()))?;
    Ok(signature)
}
