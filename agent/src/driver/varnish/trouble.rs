//! What a Varnish does that is no purge, in words that say what to do about it.

use schemas::{SelectorKind, SiteName};

use super::answer::Answer;
use super::connection::ExchangeError;
use crate::driver::{BoxError, Endpoint, PurgeError, Refused};

/// Why nothing was purged, beside failures of the connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(
        "your VCL passes PURGE to the origin, so nothing is purged; add to it, before its first sub: \
         include \"purgebus.vcl\"; (or, for urls only, in vcl_recv: \
         if (req.method == \"PURGE\") {{ if (client.ip !~ purgers) {{ return (synth(403)); }} return (purge); }})"
    )]
    PassedToOrigin,
    #[error("no Varnish answers: X-Varnish is missing")]
    NotVarnish,
    #[error("the probe object is still cached after its purge; is this one Varnish?")]
    NotPurged,
    #[error(
        "the probe object is not kept; include \"purgebus.vcl\" before the first sub of your VCL"
    )]
    NotKept,
    #[error(
        "several caches answer at one address: {0}; a purge reaches one of them, so give the address of each: urls = [...]"
    )]
    Several(String),
    #[error("another cache answers than before: {now}, not {before}")]
    Exchanged { before: String, now: String },
    #[error("the loaded purgebus.vcl speaks {0:?}; load the one of this release")]
    OtherVersion(String),
    #[error("the VCL has changed: purgebus.vcl no longer answers")]
    KeysGone,
    #[error("this VCL purges exact urls only, not {0:?}")]
    OnlyUrls(SelectorKind),
    #[error("answered {0}")]
    Status(u16),
    #[error("no such site: {0}")]
    UnknownSite(SiteName),
    #[error("Varnish holds no raw keys")]
    RawKey,
}

/// Which of several.
#[derive(Debug, thiserror::Error)]
#[error("at {endpoint}")]
struct At {
    endpoint: Endpoint,
    #[source]
    source: BoxError,
}

pub(super) fn unavailable(trouble: Trouble) -> PurgeError {
    PurgeError::Unavailable { after: None, source: trouble.into() }
}

pub(super) fn refused(trouble: Trouble) -> PurgeError {
    PurgeError::Refused(Refused::new(trouble))
}

/// It will not, as it answers.
pub(super) fn refused_by(answer: &Answer) -> PurgeError {
    PurgeError::Refused(Refused::by(answer.exchange.clone(), Trouble::Status(answer.status)))
}

/// The same, said of one of several.
pub(super) fn at(endpoint: &Endpoint, error: PurgeError) -> PurgeError {
    let at = |source| At { endpoint: endpoint.clone(), source }.into();
    match error {
        PurgeError::Unavailable { after, source } => {
            PurgeError::Unavailable { after, source: at(source) }
        }
        PurgeError::Refused(refused) => PurgeError::Refused(refused.map(at)),
    }
}

impl From<ExchangeError> for PurgeError {
    fn from(error: ExchangeError) -> Self {
        Self::Unavailable { after: None, source: error.into() }
    }
}
