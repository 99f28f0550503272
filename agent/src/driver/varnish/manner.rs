//! How this Varnish purges: found by a probe object, and checked in every answer.

use schemas::{Abilities, Ability};

use super::answer::Answer;
use super::trouble::{Trouble, refused_by, unavailable};
use crate::driver::PurgeError;

/// The protocol of `deploy/varnish/purgebus.vcl` that is spoken here.
const VCL_VERSION: &str = "1";

/// Keeps a full plain batch far below the default timeout; keys need one request for about a hundred of them.
const BATCH_SELECTORS_MAX: u32 = 1_000;

/// What a Varnish was seen to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Our VCL is loaded.
    Keys { depth: usize, soft: bool, fence: bool },
    /// Its VCL purges the URL of a PURGE.
    Plain {
        /// The probe object was seen stored, purged and fetched again.
        proven: bool,
        /// Its VCL makes up the answer to a PURGE.
        made_up: bool,
    },
}

impl Manner {
    pub(super) fn abilities(self) -> Abilities {
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
            batch_selectors_max: BATCH_SELECTORS_MAX,
            manner: manner.to_owned(),
        }
    }
}

/// What the answer to the purge of the probe object says, which was `stored` before or not.
pub(super) fn manner_of(purged: &Answer, stored: bool) -> Result<Manner, PurgeError> {
    let made_up = !purged.has_age;
    if !purged.varnish || (!stored && !made_up) {
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

/// Reads `1; depth=8; soft; fence`.
fn keys_manner(words: &str) -> Result<Manner, PurgeError> {
    let other = || unavailable(Trouble::OtherVersion(words.to_owned()));
    let mut parts = words.split(';').map(str::trim);
    if parts.next() != Some(VCL_VERSION) {
        return Err(other());
    }
    let (mut depth, mut soft, mut fence) = (None, false, false);
    for part in parts {
        match part.split_once('=') {
            Some(("depth", value)) => depth = value.parse().ok().filter(|depth| *depth > 0),
            None if part == "soft" => soft = true,
            None if part == "fence" => fence = true,
            // Said by a newer VCL of the same version: nothing that changes the meaning of a key.
            _ => {}
        }
    }
    depth.map(|depth| Manner::Keys { depth, soft, fence }).ok_or_else(other)
}

/// All answers say that they purged. Of several failures one that passes by itself comes first: the batch is
/// not split for it.
pub(super) fn all_purged(manner: Manner, answers: &[Answer]) -> Result<(), PurgeError> {
    let mut refusal = Ok(());
    for answer in answers {
        match check(manner, answer) {
            Ok(()) => {}
            Err(refused @ PurgeError::Refused(_)) => refusal = Err(refused),
            Err(unavailable) => return Err(unavailable),
        }
    }
    refusal
}

fn check(manner: Manner, answer: &Answer) -> Result<(), PurgeError> {
    let status = answer.status;
    match (status, manner) {
        // Varnish says so before any VCL, and without naming itself.
        (400, _) => return Err(refused_by(answer)),
        _ if !answer.varnish => return Err(unavailable(Trouble::PassedToOrigin)),
        (408 | 429 | 500.., _) => {
            let source = Trouble::Status(status).into();
            return Err(PurgeError::Unavailable { after: answer.retry_after, source });
        }
        // A plain VCL may say 404 of what it does not hold.
        (404, Manner::Plain { .. }) | (200 | 204, _) => {}
        (401.., _) => return Err(refused_by(answer)),
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
