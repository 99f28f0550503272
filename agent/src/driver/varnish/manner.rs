//! How this Varnish purges: found by a probe object, and checked in every answer.

use schemas::{Abilities, Ability, SelectorKind, SiteName};

use super::answer::Answer;
use super::connection::{Connections, ExchangeError, Request};
use crate::driver::PurgeError;

/// The protocol of `deploy/varnish/purgebus.vcl` that is spoken here.
const VCL_VERSION: &str = "1";

/// What a Varnish was seen to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Our VCL is loaded.
    Keys { depth: usize, soft: bool },
    /// Its VCL purges the URL of a PURGE.
    Plain {
        /// The probe object was seen stored, purged and fetched again.
        proven: bool,
        /// Its VCL makes up the answer to a PURGE.
        made_up: bool,
    },
}

impl Manner {
    pub(super) fn abilities(self, batch_selectors_max: u32) -> Abilities {
        let (others, soft, manner) = match self {
            Self::Keys { soft, .. } => (Ability::Supported, soft, "xkey"),
            Self::Plain { proven: true, .. } => (Ability::Unsupported, false, "plain PURGE"),
            Self::Plain { proven: false, .. } => (
                Ability::Unsupported,
                false,
                "plain PURGE, unproven: the probe object cannot be cached",
            ),
        };
        Abilities {
            url: Ability::Supported,
            url_any_query: others,
            prefix: others,
            tag: others,
            key: Ability::NotHeld,
            everything: others,
            soft,
            batch_selectors_max,
            manner: manner.to_owned(),
        }
    }
}

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

pub(super) fn unavailable(trouble: Trouble) -> PurgeError {
    PurgeError::Unavailable { after: None, source: trouble.into() }
}

pub(super) fn refused(trouble: Trouble) -> PurgeError {
    PurgeError::Refused(trouble.into())
}

impl From<ExchangeError> for PurgeError {
    fn from(error: ExchangeError) -> Self {
        Self::Unavailable { after: None, source: error.into() }
    }
}

/// Stores an object, purges it and sees it fetched again.
pub(super) async fn probe(
    connections: &Connections,
    host: &str,
    path: &str,
) -> Result<Manner, PurgeError> {
    let ask = || Request::new("HEAD", path, host).with("X-Purgebus", "probe");
    let stored = connections.exchange(&[ask(), ask()]).await?.iter().any(Answer::is_hit);
    // Our VCL takes the key, a plain one the URL.
    let purge =
        Request::new("PURGE", path, host).with("X-Purgebus-Hard", &format!("u:{host}{path}"));
    let purged = single(connections, purge).await?;
    let manner = manner_of(&purged, stored)?;
    let after = single(connections, ask()).await?;
    if after.transactions == 0 {
        return Err(unavailable(Trouble::NotVarnish));
    }
    if after.is_hit() {
        let made_up = !purged.has_age;
        return Err(unavailable(if made_up {
            Trouble::NotPurged
        } else {
            Trouble::PassedToOrigin
        }));
    }
    Ok(manner)
}

async fn single(connections: &Connections, request: Request) -> Result<Answer, PurgeError> {
    let mut answers = connections.exchange(&[request]).await?;
    answers.pop().ok_or_else(|| ExchangeError::Unexpected("no answer").into())
}

fn manner_of(purged: &Answer, stored: bool) -> Result<Manner, PurgeError> {
    let made_up = !purged.has_age;
    if purged.transactions == 0 || (!stored && !made_up) {
        return Err(unavailable(Trouble::PassedToOrigin));
    }
    let manner = match &purged.purgebus {
        Some(words) => keys_manner(words)?,
        None => Manner::Plain { proven: stored, made_up },
    };
    check(manner, purged)?;
    if matches!(manner, Manner::Keys { .. }) && !stored {
        return Err(unavailable(Trouble::NotKept));
    }
    Ok(manner)
}

/// Reads `1; depth=8; soft`.
fn keys_manner(words: &str) -> Result<Manner, PurgeError> {
    let other = || unavailable(Trouble::OtherVersion(words.to_owned()));
    let mut parts = words.split(';').map(str::trim);
    if parts.next() != Some(VCL_VERSION) {
        return Err(other());
    }
    let (mut depth, mut soft) = (None, false);
    for part in parts {
        match part.split_once('=') {
            Some(("depth", value)) => depth = value.parse().ok().filter(|depth| *depth > 0),
            None if part == "soft" => soft = true,
            // Said by a newer VCL of the same version: nothing that changes the meaning of a key.
            _ => {}
        }
    }
    depth.map(|depth| Manner::Keys { depth, soft }).ok_or_else(other)
}

/// All answers say that they purged. Of several failures one that passes by itself comes first: the batch is
/// not split for it.
pub(super) fn all_purged(manner: Manner, answers: &[Answer]) -> Result<(), PurgeError> {
    let mut refusal = Ok(());
    for answer in answers {
        match check(manner, answer) {
            Ok(()) => {}
            Err(PurgeError::Refused(source)) => refusal = Err(PurgeError::Refused(source)),
            Err(unavailable) => return Err(unavailable),
        }
    }
    refusal
}

fn check(manner: Manner, answer: &Answer) -> Result<(), PurgeError> {
    let status = answer.status;
    match (status, manner) {
        // Varnish says so before any VCL, and without naming itself.
        (400, _) => return Err(refused(Trouble::Status(status))),
        _ if answer.transactions == 0 => return Err(unavailable(Trouble::PassedToOrigin)),
        (408 | 429 | 500.., _) => {
            let source = Trouble::Status(status).into();
            return Err(PurgeError::Unavailable { after: answer.retry_after, source });
        }
        // A plain VCL may say 404 of what it does not hold.
        (404, Manner::Plain { .. }) | (200 | 204, _) => {}
        (401.., _) => return Err(refused(Trouble::Status(status))),
        _ => return Err(unavailable(Trouble::Status(status))),
    }
    match manner {
        Manner::Keys { .. } if answer.purgebus.is_none() => Err(unavailable(Trouble::KeysGone)),
        Manner::Plain { made_up: true, .. } if answer.has_age => {
            Err(unavailable(Trouble::PassedToOrigin))
        }
        Manner::Keys { .. } | Manner::Plain { .. } => Ok(()),
    }
}
