//! TLS connections, with certificates that are read again when their files change.

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use parking_lot::Mutex;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::auth::secret_or_file;
use crate::config::{Secret, TlsConfig, TlsVersion};
use crate::connect::Stream;
use crate::error::ClientError;

/// What ALPN calls HTTP/2 and HTTP/1.1.
const ALPN_HTTP2: &[u8] = b"h2";
const ALPN_HTTP1: &[u8] = b"http/1.1";

/// Makes TLS configurations from the files of the configuration.
#[derive(Debug)]
pub(crate) struct TlsSource {
    config: TlsConfig,
    enable_http2: bool,
    built: Mutex<Built>,
}

/// The newest TLS configuration, made when it is first needed: reading the system's authorities takes
/// memory and time that a client of plain HTTP needn't spend.
#[derive(Debug, Default)]
struct Built {
    /// Counts the states of the files; 0 before the first.
    generation: u64,
    stamps: Vec<Option<(SystemTime, u64)>>,
    client: Option<Arc<ClientConfig>>,
}

impl TlsSource {
    pub(crate) fn new(config: TlsConfig, enable_http2: bool) -> Self {
        TlsSource { config, enable_http2, built: Mutex::default() }
    }

    /// Reads the files, if there are any, to find what is wrong with them.
    pub(crate) fn check(&self) -> Result<(), ClientError> {
        if self.config != TlsConfig::default() {
            self.refresh()?;
        }
        Ok(())
    }

    /// Looks whether the files have changed and says which state of them is in force.
    pub(crate) fn refresh(&self) -> Result<u64, ClientError> {
        let stamps = self.stamps();
        let mut built = self.built.lock();
        if built.client.is_none() || built.stamps != stamps {
            built.client = Some(Arc::new(self.build()?));
            built.stamps = stamps;
            built.generation += 1;
        }
        Ok(built.generation)
    }

    fn stamps(&self) -> Vec<Option<(SystemTime, u64)>> {
        let stamp = |file: &str| {
            let metadata = std::fs::metadata(file).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        let files = [&self.config.ca_file, &self.config.cert_file, &self.config.key_file];
        files.into_iter().filter(|file| !file.is_empty()).map(|file| stamp(file)).collect()
    }

    /// Shakes hands. Says whether the two sides agreed on HTTP/2.
    pub(crate) async fn connect(
        &self,
        host: &str,
        stream: Box<dyn Stream>,
    ) -> Result<(TlsStream<Box<dyn Stream>>, bool), ClientError> {
        self.refresh()?;
        let client = self.built.lock().client.clone();
        let client = client.ok_or_else(|| ClientError::Config("no TLS configuration".to_owned()))?;
        let name = if self.config.server_name.is_empty() { host } else { &self.config.server_name };
        let name = name.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(name)
            .map_err(|_| ClientError::Config(format!("tls: invalid server name {host:?}")))?;
        let connected = TlsConnector::from(client).connect(name, stream).await;
        let connected = connected.map_err(|error| ClientError::Connect(format!("tls: {error}")))?;
        let is_http2 = connected.get_ref().1.alpn_protocol() == Some(ALPN_HTTP2);
        Ok((connected, is_http2))
    }

    fn build(&self) -> Result<ClientConfig, ClientError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&self.versions())
            .map_err(tls_error)?;
        let builder = if self.config.insecure_skip_verify {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        } else {
            builder.with_root_certificates(self.roots()?)
        };
        let mut client = match self.client_certificate()? {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(tls_error)?,
            None => builder.with_no_client_auth(),
        };
        client.alpn_protocols = vec![ALPN_HTTP1.to_vec()];
        if self.enable_http2 {
            client.alpn_protocols.insert(0, ALPN_HTTP2.to_vec());
        }
        Ok(client)
    }

    fn versions(&self) -> Vec<&'static SupportedProtocolVersion> {
        let min = self.config.min_version.unwrap_or(TlsVersion::Tls12);
        let max = self.config.max_version.unwrap_or(TlsVersion::Tls13);
        [(TlsVersion::Tls12, &rustls::version::TLS12), (TlsVersion::Tls13, &rustls::version::TLS13)]
            .into_iter()
            .filter(|(version, _)| (min..=max).contains(version))
            .map(|(_, supported)| supported)
            .collect()
    }

    fn roots(&self) -> Result<Arc<RootCertStore>, ClientError> {
        let pem = text_or_file(&self.config.ca, &self.config.ca_file, "CA cert")?;
        if pem.is_empty() {
            return Ok(system_roots());
        }
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&pem, "CA cert")? {
            roots.add(certificate).map_err(tls_error)?;
        }
        Ok(Arc::new(roots))
    }

    fn client_certificate(
        &self,
    ) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>, ClientError> {
        let chain = text_or_file(&self.config.cert, &self.config.cert_file, "client cert")?;
        if chain.is_empty() {
            return Ok(None);
        }
        let key = secret_or_file(&self.config.key, &self.config.key_file, "client key")?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|error| ClientError::Config(format!("unable to use client key: {error}")))?;
        Ok(Some((certificates(&chain, "client cert")?, key)))
    }
}

fn text_or_file(text: &str, file: &str, what: &'static str) -> Result<String, ClientError> {
    secret_or_file(&Secret::new(text), file, what)
}

fn certificates(pem: &str, what: &str) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(ClientError::Config(format!("unable to use specified {what}: no certificate in it"))),
        Err(error) => Err(ClientError::Config(format!("unable to use specified {what}: {error}"))),
    }
}

fn tls_error(error: rustls::Error) -> ClientError {
    ClientError::Config(format!("tls: {error}"))
}

/// The authorities that the system trusts, read once.
fn system_roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let load = || {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    };
    ROOTS.get_or_init(load).clone()
}

/// Accepts any certificate (`insecure_skip_verify`), but not a wrong signature.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
