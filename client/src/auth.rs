//! Credentials as headers. Files are read for each request: they are small, and a changed one counts at once.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

use crate::config::{BasicAuth, Header, HttpClientConfig, Secret};
use crate::error::ClientError;

/// The `Authorization` header that the configuration asks for, but for OAuth 2.0.
pub(crate) fn authorization(config: &HttpClientConfig) -> Result<Option<HeaderValue>, ClientError> {
    if let Some(basic) = &config.basic_auth {
        return Ok(Some(sensitive(&basic_credentials(basic)?)?));
    }
    let Some(authorization) = &config.authorization else { return Ok(None) };
    let credentials = secret_or_file(
        &authorization.credentials,
        &authorization.credentials_file,
        "authorization credentials file",
    )?;
    Ok(Some(sensitive(&format!("{} {credentials}", authorization.scheme.trim()))?))
}

fn basic_credentials(basic: &BasicAuth) -> Result<String, ClientError> {
    let username = match basic.username_file.as_str() {
        "" => basic.username.clone(),
        file => read_file(file, "basic auth username file")?,
    };
    let password = secret_or_file(&basic.password, &basic.password_file, "basic auth password file")?;
    Ok(basic_value(&username, &password))
}

/// The value of a header that carries a user name and a password (RFC 7617).
pub(crate) fn basic_value(username: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
}

/// A secret that is written in the configuration or in a file.
pub(crate) fn secret_or_file(secret: &Secret, file: &str, what: &'static str) -> Result<String, ClientError> {
    match file {
        "" => Ok(secret.expose().to_owned()),
        file => read_file(file, what),
    }
}

/// All values of a configured header.
pub(crate) fn header_values(header: &Header) -> Result<Vec<HeaderValue>, ClientError> {
    let mut values = Vec::new();
    for value in &header.values {
        values.push(sensitive(value)?);
    }
    for secret in &header.secrets {
        values.push(sensitive(secret.expose())?);
    }
    for file in &header.files {
        values.push(sensitive(&read_file(file, "http headers file")?)?);
    }
    Ok(values)
}

/// A header value that is never logged.
pub(crate) fn sensitive(text: &str) -> Result<HeaderValue, ClientError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| {
        ClientError::Config("credentials contain characters that HTTP can't carry".to_owned())
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// The content of a file without white space around it.
pub(crate) fn read_file(path: &str, what: &'static str) -> Result<String, ClientError> {
    let text = std::fs::read_to_string(path).map_err(|source| ClientError::File {
        what,
        path: path.to_owned(),
        source: Arc::new(source),
    })?;
    Ok(text.trim().to_owned())
}
