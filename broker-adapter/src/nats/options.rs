//! From our configuration to the client's options; every file is read here once, so that a mistake shows at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::rustls::pki_types::pem::PemObject;
use async_nats::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use async_nats::{ConnectOptions, ServerAddr};

use super::NatsConfig;
use super::failure::{Failure, Said};
use crate::{Secret, TlsConfig};

/// A server that does not greet within this is not there.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// A silent connection is found dead after about three of these.
const PING_EVERY: Duration = Duration::from_secs(5);
/// Longest pause between two attempts to connect.
const RECONNECT_AFTER_MAX: Duration = Duration::from_millis(500);
/// Longest pause before the first; doubled with each.
const RECONNECT_AFTER_MIN: Duration = Duration::from_millis(10);
/// A stream's most copies.
const REPLICAS_MAX: usize = 5;
/// More than we pull at once: what comes beyond it, nobody has asked for.
const SUBSCRIPTION_CAPACITY: usize = 4_096;

/// The servers, checked.
pub(super) fn servers(config: &NatsConfig) -> Result<Vec<ServerAddr>, Failure> {
    let misconfigured = |text: String| Err(Failure::Misconfigured(text));
    if config.urls.is_empty() {
        return misconfigured("broker.urls is empty".to_owned());
    }
    if config.prefix.is_empty() || !config.prefix.bytes().all(is_of_a_name) {
        return misconfigured(format!(
            "broker.prefix {:?} has other characters than letters, digits, _ and -",
            config.prefix
        ));
    }
    if !(1..=REPLICAS_MAX).contains(&config.replicas) {
        return misconfigured(format!("broker.replicas is not within 1 and {REPLICAS_MAX}"));
    }
    if config.partitions == 0 {
        return misconfigured("broker.partitions is 0".to_owned());
    }
    config.urls.iter().map(|url| server(url)).collect()
}

fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn server(url: &str) -> Result<ServerAddr, Failure> {
    // Never the whole URL in a message: it may hold a password.
    let wrong = |why: &str| Failure::Misconfigured(format!("a URL of broker.urls {why}"));
    let address: ServerAddr =
        url.parse().map_err(|_| wrong("is not of the form nats://host:4222 or tls://host:4222"))?;
    if address.is_websocket() {
        return Err(wrong("is for websockets; use nats:// or tls://"));
    }
    if address.has_user_pass() {
        return Err(wrong("holds a password; set broker.user and broker.password_file instead"));
    }
    Ok(address)
}

/// The client's options, but for what it calls back.
pub(super) fn options(config: &NatsConfig) -> Result<ConnectOptions, Failure> {
    let options = ConnectOptions::new()
        .name("purgebus")
        .retry_on_initial_connect()
        .connection_timeout(CONNECT_WITHIN)
        .ping_interval(PING_EVERY)
        .subscription_capacity(SUBSCRIPTION_CAPACITY)
        .reconnect_delay_callback(reconnect_after);
    let options = authenticated(options, config)?;
    match &config.tls {
        None => Ok(options),
        Some(tls) => encrypted(options, tls),
    }
}

/// Full jitter, so that a fleet does not come back in one moment.
fn reconnect_after(attempts: usize) -> Duration {
    let doublings = u32::try_from(attempts).unwrap_or(u32::MAX).min(16);
    let longest = RECONNECT_AFTER_MIN.saturating_mul(1 << doublings).min(RECONNECT_AFTER_MAX);
    longest.mul_f64(fastrand::f64())
}

fn authenticated(options: ConnectOptions, config: &NatsConfig) -> Result<ConnectOptions, Failure> {
    let password = one_of("password", config.password.as_ref(), config.password_file.as_deref())?;
    let token = one_of("token", config.token.as_ref(), config.token_file.as_deref())?;
    let ways = [
        config.user.is_some(),
        token.is_some(),
        config.nkey_file.is_some(),
        config.credentials_file.is_some(),
    ];
    if ways.into_iter().filter(|&way| way).count() > 1 {
        let text = "broker: only one of user, token, nkey_file and credentials_file may be set";
        return Err(Failure::Misconfigured(text.to_owned()));
    }
    match (&config.user, password) {
        (Some(user), Some(password)) => {
            return Ok(options.user_and_password(user.clone(), password.reveal().to_owned()));
        }
        (None, None) => {}
        (Some(_), None) => {
            return Err(Failure::Misconfigured("broker.user has no password".into()));
        }
        (None, Some(_)) => {
            return Err(Failure::Misconfigured("broker.password has no user".into()));
        }
    }
    if let Some(token) = token {
        return Ok(options.token(token.reveal().to_owned()));
    }
    if let Some(file) = &config.nkey_file {
        return Ok(options.nkey(seed(file)?));
    }
    if let Some(file) = &config.credentials_file {
        let text = read(file)?;
        let said = |error: std::io::Error| Failure::Unreadable {
            what: format!("{} holds no NATS credentials", file.display()),
            source: Said(error.to_string()),
        };
        return options.credentials(&text).map_err(said);
    }
    Ok(options)
}

/// A secret that is written in the configuration, or in a file of its own.
fn one_of(
    name: &str,
    written: Option<&Secret>,
    file: Option<&Path>,
) -> Result<Option<Secret>, Failure> {
    match (written, file) {
        (Some(_), Some(_)) => {
            let text = format!("broker: only one of {name} and {name}_file may be set");
            Err(Failure::Misconfigured(text))
        }
        (Some(secret), None) => Ok(Some(secret.clone())),
        (None, Some(file)) => {
            let secret = Secret::read(file).map_err(|error| unreadable(file, error))?;
            if secret.reveal().is_empty() {
                let text = format!("{} is empty: it should hold the {name}", file.display());
                return Err(Failure::Misconfigured(text));
            }
            Ok(Some(secret))
        }
        (None, None) => Ok(None),
    }
}

/// The seed of a user's nkey.
fn seed(file: &Path) -> Result<String, Failure> {
    let text = read(file)?;
    let mut lines = text.lines().map(str::trim);
    let seed = lines.find(|line| line.starts_with("SU") && line.len() == SEED_LENGTH);
    seed.map(str::to_owned).ok_or_else(|| {
        Failure::Misconfigured(format!("{} holds no seed of a user's nkey (SU...)", file.display()))
    })
}

/// Characters of a seed.
const SEED_LENGTH: usize = 58;

/// The client reads these files anew at every connect: replaced certificates need no restart.
fn encrypted(options: ConnectOptions, tls: &TlsConfig) -> Result<ConnectOptions, Failure> {
    let mut options = options.require_tls(true);
    if let Some(file) = &tls.ca_file {
        certificates(file)?;
        options = options.add_root_certificates(file.clone());
    }
    match (&tls.certificate_file, &tls.key_file) {
        (None, None) => Ok(options),
        (Some(certificate), Some(key)) => {
            certificates(certificate)?;
            PrivateKeyDer::from_pem_file(key).map_err(|error| Failure::Unreadable {
                what: format!("{} holds no private key in PEM form", key.display()),
                source: Said(error.to_string()),
            })?;
            Ok(options.add_client_certificate(certificate.clone(), key.clone()))
        }
        _ => Err(Failure::Misconfigured(
            "broker.tls: certificate_file and key_file belong together".to_owned(),
        )),
    }
}

fn certificates(file: &PathBuf) -> Result<(), Failure> {
    let failed = |said: String| Failure::Unreadable {
        what: format!("{} holds no certificates in PEM form", file.display()),
        source: Said(said),
    };
    let read = CertificateDer::pem_file_iter(file).map_err(|error| failed(error.to_string()))?;
    let read: Result<Vec<_>, _> = read.collect();
    match read {
        Ok(found) if !found.is_empty() => Ok(()),
        Ok(_) => Err(failed("it has none".to_owned())),
        Err(error) => Err(failed(error.to_string())),
    }
}

fn read(file: &Path) -> Result<String, Failure> {
    fs::read_to_string(file).map_err(|error| unreadable(file, error))
}

#[expect(clippy::needless_pass_by_value, reason = "made for map_err")]
fn unreadable(file: &Path, error: std::io::Error) -> Failure {
    Failure::Unreadable {
        what: format!("{} cannot be read", file.display()),
        source: Said(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_between_attempts_are_short_and_differ() {
        let pauses: Vec<Duration> = (0..1_000).map(reconnect_after).collect();
        assert!(pauses.iter().all(|pause| *pause <= RECONNECT_AFTER_MAX));
        assert!(pauses.iter().any(|pause| *pause > RECONNECT_AFTER_MAX / 2));
        assert!(reconnect_after(usize::MAX) <= RECONNECT_AFTER_MAX);
        let distinct: std::collections::BTreeSet<Duration> = pauses.into_iter().collect();
        assert!(distinct.len() > 900);
    }
}
