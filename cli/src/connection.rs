//! Which publisher to talk to, and by what right.

use std::path::{Path, PathBuf};

use clap::Args;
use reqwest::{Certificate, ClientBuilder, Identity, Url};

use crate::exit::{Exit, Failure};

const TOKEN_VARIABLE: &str = "PURGEBUS_TOKEN";

/// The flags of every verb that talks to a publisher.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// The publisher's address
    #[arg(long, value_name = "URL", env = "PURGEBUS_URL", default_value = "http://127.0.0.1:8377")]
    publisher: String,
    /// A file with the bearer token; the variable `PURGEBUS_TOKEN` may hold the token itself instead
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificates of the authorities that may have signed the publisher's, PEM, in place of the system's
    #[arg(long, value_name = "FILE", env = "PURGEBUS_CA_FILE")]
    ca_file: Option<PathBuf>,
    /// Our own certificate, PEM, for a publisher that asks for one
    #[arg(long, value_name = "FILE", env = "PURGEBUS_CLIENT_CERT", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// The key of our own certificate, PEM
    #[arg(long, value_name = "FILE", env = "PURGEBUS_CLIENT_KEY", requires = "client_cert")]
    client_key: Option<PathBuf>,
}

impl Connection {
    /// The publisher's address, checked.
    pub(crate) fn url(&self) -> Result<Url, Failure> {
        let wrong = |why: &str| {
            let message = format!("the publisher's address \"{}\" {why}", self.publisher);
            Failure::message(Exit::WrongUsage, message)
        };
        let url: Url = self.publisher.parse().map_err(|_| wrong("is no URL"))?;
        match url.scheme() {
            "http" | "https" if url.has_host() => Ok(url),
            _ => Err(wrong("begins with neither http:// nor https://")),
        }
    }

    /// The bearer token, if there is one: the file's, else the variable's.
    pub(crate) fn token(&self) -> Result<Option<String>, Failure> {
        let Some(file) = &self.token_file else {
            return Ok(std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.is_empty()));
        };
        let text = read("the token file", file)?;
        Ok(Some(String::from_utf8_lossy(&text).trim().to_owned()))
    }

    /// A client that trusts, and shows, what these flags say.
    pub(crate) fn client(&self) -> Result<ClientBuilder, Failure> {
        let builder = reqwest::Client::builder();
        // Without TLS nobody's word is needed, and the system's takes time to read.
        let secured = self.url()?.scheme() == "https";
        let builder = match &self.ca_file {
            Some(file) => {
                let text = read("the authorities' certificates in", file)?;
                let certificates = Certificate::from_pem_bundle(&text).ok();
                let certificates = certificates.filter(|found| !found.is_empty());
                builder.tls_certs_only(certificates.ok_or_else(|| holds_none("certificate", file))?)
            }
            None if secured => builder,
            None => builder.tls_certs_only([]),
        };
        let (Some(certificate), Some(key)) = (&self.client_cert, &self.client_key) else {
            return Ok(builder);
        };
        let mut text = read("our certificate in", certificate)?;
        text.push(b'\n');
        text.extend(read("the key of our certificate in", key)?);
        let identity = Identity::from_pem(&text);
        Ok(builder.identity(identity.map_err(|_| holds_none("certificate with its key", key))?))
    }
}

fn read(what: &str, file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| {
        let message = format!("cannot read {what} {}: {error}", file.display());
        Failure::message(Exit::WrongUsage, message)
    })
}

fn holds_none(what: &str, file: &Path) -> Failure {
    Failure::message(Exit::WrongUsage, format!("{} holds no {what} in PEM", file.display()))
}
