//! Reads the files of a port's TLS and finds whatever is wrong with them.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, RootCertStore, ServerConfig};

use super::certificate::Facts;
use super::config::{ClientCertificates, TlsConfig};

/// Larger is none of the files.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Rights of a file that let others than its owner read it.
const OTHERS_MAY_READ: u32 = 0o044;
/// What we speak.
const PROTOCOL: &[u8] = b"http/1.1";

/// Something wrong with one key of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsMistake {
    /// The key.
    pub key: &'static str,
    /// What is wrong, and the way out.
    pub problem: String,
}

/// All that is wrong with the TLS of a port. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct TlsMistakes(pub Vec<TlsMistake>);

impl fmt::Display for TlsMistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, TlsMistake { key, problem }) in self.0.iter().enumerate() {
            let between = if at == 0 { "" } else { "; " };
            write!(f, "{between}{key}: {problem}")?;
        }
        Ok(())
    }
}

/// What a port shows of itself and asks of its clients.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) server: Arc<ServerConfig>,
    pub(super) expires: Timestamp,
    /// Whether others than its owner may read the key.
    pub(super) key_is_exposed: bool,
}

impl Identity {
    /// Reads and checks all of it. Blocks on the disk, for a moment.
    pub(super) fn load(config: &TlsConfig, now: Timestamp) -> Result<Self, TlsMistakes> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut mistakes = Vec::new();
        let mut note = |key, problem| mistakes.push(TlsMistake { key, problem });
        let chain = chain(&config.certificate_file, now);
        let chain = chain.map_err(|problem| note("certificate_file", problem)).ok();
        let key = key(&config.key_file).map_err(|problem| note("key_file", problem)).ok();
        let clients = clients(config, &provider);
        let clients = clients.map_err(|mistake| mistakes.push(mistake)).ok();
        let (Some((chain, expires)), Some(key), Some(clients)) = (chain, key, clients) else {
            return Err(TlsMistakes(mistakes));
        };
        let certified = CertifiedKey::from_der(chain, key, &provider).map_err(|error| {
            TlsMistakes(vec![TlsMistake { key: "key_file", problem: unfit(config, &error) }])
        })?;
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has TLS 1.2 and 1.3");
        let server = match clients {
            Some(clients) => server.with_client_cert_verifier(clients),
            None => server.with_no_client_auth(),
        };
        let resolver = rustls::sign::SingleCertAndKey::from(certified);
        let mut server = server.with_cert_resolver(Arc::new(resolver));
        server.alpn_protocols = vec![PROTOCOL.to_vec()];
        let key_is_exposed = is_exposed(&config.key_file);
        Ok(Self { server: Arc::new(server), expires, key_is_exposed })
    }
}

/// The certificate with those after it, and when it expires.
fn chain(file: &Path, now: Timestamp) -> Result<(Vec<CertificateDer<'static>>, Timestamp), String> {
    let chain = certificates(file)?;
    let shown = file.display();
    let facts = chain.first().and_then(Facts::of);
    let facts = facts.ok_or_else(|| format!("what {shown} holds is no certificate"))?;
    let Facts { valid_from, expires, .. } = facts;
    if expires <= now {
        return Err(format!("the certificate in {shown} has expired, at {expires}; renew it"));
    }
    if valid_from > now {
        return Err(format!(
            "the certificate in {shown} is good from {valid_from} on only; use one that is good now, or set this \
             machine's clock"
        ));
    }
    Ok((chain, expires))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = read(file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if found.is_empty() => Err(format!(
            "{} holds no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----",
            file.display()
        )),
        Ok(found) => Ok(found),
        Err(error) => Err(format!("{} is damaged: {error}", file.display())),
    }
}

fn key(file: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let text = read(file)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
        let shown = file.display();
        if text.windows(9).any(|word| word == b"ENCRYPTED") {
            format!("the key in {shown} is encrypted; decrypt it with `openssl pkey`")
        } else {
            format!(
                "{shown} holds no private key in PEM, which begins with -----BEGIN PRIVATE KEY-----"
            )
        }
    })
}

type Clients = Arc<dyn rustls::server::danger::ClientCertVerifier>;

/// Whose clients are let in; `None` where nobody asks.
fn clients(
    config: &TlsConfig,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Clients>, TlsMistake> {
    let wrong = |problem| TlsMistake { key: "client_ca_file", problem };
    let Some(file) = &config.client_ca_file else {
        return match config.client_certificates {
            None => Ok(None),
            Some(_) => Err(wrong(
                "is missing beside client_certificates; name the file of the authority whose clients are trusted"
                    .to_owned(),
            )),
        };
    };
    let unusable = |error: &dyn fmt::Display| wrong(format!("{}: {error}", file.display()));
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file).map_err(wrong)? {
        roots.add(certificate).map_err(|error| unusable(&error))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(provider));
    let verifier = match config.client_certificates {
        None | Some(ClientCertificates::Required) => verifier,
        Some(ClientCertificates::Asked) => verifier.allow_unauthenticated(),
    };
    verifier.build().map(Some).map_err(|error| unusable(&error))
}

/// Why key and certificate are no pair.
fn unfit(config: &TlsConfig, error: &Error) -> String {
    let TlsConfig { certificate_file, key_file, .. } = config;
    let (key, certificate) = (key_file.display(), certificate_file.display());
    match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => format!(
            "the key in {key} does not belong to the certificate in {certificate}; name the one that it was made with"
        ),
        error => format!("the key in {key} cannot be used: {error}"),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|open| open.take(FILE_BYTES_MAX).read_to_end(&mut bytes));
    let shown = file.display();
    read.map_err(|error| {
        format!("cannot read {shown}: {error}; name a file that this user may read")
    })?;
    Ok(bytes)
}

fn is_exposed(file: &Path) -> bool {
    file.metadata().is_ok_and(|it| it.permissions().mode() & OTHERS_MAY_READ != 0)
}
