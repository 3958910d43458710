//! TLS settings as rustls takes them.
//!
//! rustls has no CBC suites, no TLS before 1.2 and, with the provider in use, neither P-521 nor the
//! post-quantum group: asking for one of these is an error that says so.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::verify_server_name;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, NamedGroup, RootCertStore,
    ServerConfig, SignatureScheme, SupportedProtocolVersion,
};

use super::file::{ClientAuth, TlsServerConfig, WebConfigError, read_text};

/// Go's names of the groups that the provider has.
const GROUPS: [(&str, NamedGroup); 3] = [
    ("CurveP256", NamedGroup::secp256r1),
    ("CurveP384", NamedGroup::secp384r1),
    ("X25519", NamedGroup::X25519),
];

fn invalid(what: impl Into<String>) -> WebConfigError {
    WebConfigError::Invalid { file: Default::default(), what: what.into() }
}

/// The settings of a server.
pub(super) fn server_config(
    config: &TlsServerConfig,
    http2: bool,
) -> Result<Arc<ServerConfig>, WebConfigError> {
    let provider = Arc::new(provider(config)?);
    let chain = certificates(&pem(&config.cert, &config.cert_file, "cert")?, "cert")?;
    let key_pem = pem(&config.key, &config.key_file, "key")?;
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes())
        .map_err(|error| invalid(format!("tls_server_config: key: {error}")))?;
    let verifier = client_verifier(config, &provider)?;
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(config)?)
        .map_err(|error| invalid(format!("tls_server_config: {error}")))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| invalid(format!("tls_server_config: {error}")))?;
    server.alpn_protocols = if http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { Vec::new() };
    Ok(Arc::new(server))
}

/// The text of a setting that is given directly or as a file.
fn pem(inline: &str, file: &Path, name: &str) -> Result<String, WebConfigError> {
    match (inline.is_empty(), file.as_os_str().is_empty()) {
        (false, true) => Ok(inline.to_owned()),
        (true, false) => read_text(file),
        (true, true) => Err(invalid(format!("tls_server_config: missing one of {name} or {name}_file"))),
        (false, false) => {
            Err(invalid(format!("tls_server_config: only one of {name} and {name}_file may be given")))
        }
    }
}

fn certificates(pem: &str, name: &str) -> Result<Vec<CertificateDer<'static>>, WebConfigError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(invalid(format!("tls_server_config: {name}: no certificate found"))),
        Err(error) => Err(invalid(format!("tls_server_config: {name}: {error}"))),
    }
}

/// The provider with the cipher suites and groups that were asked for.
fn provider(config: &TlsServerConfig) -> Result<CryptoProvider, WebConfigError> {
    let mut provider = rustls::crypto::ring::default_provider();
    if !config.cipher_suites.is_empty() {
        let name = |suite: &rustls::SupportedCipherSuite| format!("{:?}", suite.suite());
        for wanted in &config.cipher_suites {
            if !provider.cipher_suites.iter().any(|suite| name(suite).replace("TLS13_", "TLS_") == *wanted) {
                return Err(invalid(format!("tls_server_config: unknown or unsupported cipher: {wanted}")));
            }
        }
        // As in Go the list is one of TLS 1.2; the suites of 1.3 are all safe.
        let is_wanted = |suite: &rustls::SupportedCipherSuite| {
            suite.tls13().is_some() || config.cipher_suites.contains(&name(suite))
        };
        provider.cipher_suites.retain(is_wanted);
    }
    if !config.curve_preferences.is_empty() {
        let mut groups = Vec::new();
        for wanted in &config.curve_preferences {
            let group = GROUPS.iter().find(|(name, _)| name == wanted);
            let found = group.and_then(|(_, group)| provider.kx_groups.iter().find(|kx| kx.name() == *group));
            groups.push(*found.ok_or_else(|| {
                invalid(format!("tls_server_config: unknown or unsupported curve: {wanted}"))
            })?);
        }
        provider.kx_groups = groups;
    }
    Ok(provider)
}

/// The versions between the oldest and the newest.
fn versions(config: &TlsServerConfig) -> Result<Vec<&'static SupportedProtocolVersion>, WebConfigError> {
    let rank = |version: &str| match version {
        "TLS12" => Ok(12),
        "TLS13" => Ok(13),
        "TLS10" | "TLS11" => Err(invalid(format!(
            "tls_server_config: {version} is not supported, the oldest version is TLS12"
        ))),
        other => Err(invalid(format!("tls_server_config: unknown TLS version: {other}"))),
    };
    let range = rank(&config.min_version)?..=rank(&config.max_version)?;
    let known = [(12, &rustls::version::TLS12), (13, &rustls::version::TLS13)];
    let versions: Vec<_> = known.iter().filter(|(rank, _)| range.contains(rank)).map(|(_, v)| *v).collect();
    if versions.is_empty() {
        return Err(invalid("tls_server_config: max_version is below min_version"));
    }
    Ok(versions)
}

/// Whoever checks the certificates of clients.
fn client_verifier(
    config: &TlsServerConfig,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, WebConfigError> {
    let has_roots = !config.client_ca.is_empty() || !config.client_ca_file.as_os_str().is_empty();
    let algorithms = provider.signature_verification_algorithms;
    let verifier: Arc<dyn ClientCertVerifier> = match config.client_auth_type {
        ClientAuth::NoClientCert if has_roots => {
            return Err(invalid(
                "tls_server_config: client CA's have been configured without a client auth policy",
            ));
        }
        ClientAuth::NoClientCert => WebPkiClientVerifier::no_client_auth(),
        ClientAuth::RequestClientCert => Arc::new(AnyCertificate { mandatory: false, algorithms }),
        ClientAuth::RequireAnyClientCert => Arc::new(AnyCertificate { mandatory: true, algorithms }),
        ClientAuth::VerifyClientCertIfGiven | ClientAuth::RequireAndVerifyClientCert => {
            let pem = pem(&config.client_ca, &config.client_ca_file, "client_ca")?;
            let mut roots = RootCertStore::empty();
            for certificate in certificates(&pem, "client_ca")? {
                roots
                    .add(certificate)
                    .map_err(|error| invalid(format!("tls_server_config: client_ca: {error}")))?;
            }
            let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
            let builder = match config.client_auth_type {
                ClientAuth::VerifyClientCertIfGiven => builder.allow_unauthenticated(),
                _ => builder,
            };
            builder.build().map_err(|error| invalid(format!("tls_server_config: client_ca: {error}")))?
        }
    };
    if config.client_allowed_sans.is_empty() {
        return Ok(verifier);
    }
    let names = config.client_allowed_sans.iter().map(|name| {
        ServerName::try_from(name.clone())
            .map_err(|error| invalid(format!("tls_server_config: client_allowed_sans: {name:?}: {error}")))
    });
    Ok(Arc::new(AllowedNames { inner: verifier, names: names.collect::<Result<_, _>>()? }))
}

/// Takes any certificate, but lets clients prove that it is theirs.
#[derive(Debug)]
struct AnyCertificate {
    mandatory: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Takes what another verifier takes, if it is for one of some names.
#[derive(Debug)]
struct AllowedNames {
    inner: Arc<dyn ClientCertVerifier>,
    names: Vec<ServerName<'static>>,
}

impl ClientCertVerifier for AllowedNames {
    fn offer_client_auth(&self) -> bool {
        self.inner.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.inner.verify_client_cert(certificate, intermediates, now)?;
        let parsed = ParsedCertificate::try_from(certificate)?;
        if self.names.iter().any(|name| verify_server_name(&parsed, name).is_ok()) {
            return Ok(verified);
        }
        Err(Error::InvalidCertificate(CertificateError::NotValidForName))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
