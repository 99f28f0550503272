//! The proof that one real cache answers, and purges: an object of the driver's own is stored, purged and fetched again,
//! and on new connections the same cache answers.

use super::answer::Answer;
use super::connection::{Connections, ExchangeError, Request};
use super::manner::{Manner, manner_of};
use super::trouble::{Trouble, unavailable};
use crate::driver::PurgeError;

/// A balancer between two caches shows both on as many new connections, but for one time in sixty where it throws a coin.
const NEW_CONNECTIONS: usize = 6;

/// What a Varnish was seen to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) manner: Manner,
    /// Its name, which our VCL gives it anew at each start of the cache.
    cache: Option<String>,
}

impl Seen {
    /// The one that answers is the one that was seen.
    pub(super) fn is_same(&self, answer: &Answer) -> Result<(), PurgeError> {
        match (&self.cache, &answer.cache) {
            (Some(before), Some(now)) if before != now => {
                let (before, now) = (before.clone(), now.clone());
                Err(unavailable(Trouble::Exchanged { before, now }))
            }
            _ => Ok(()),
        }
    }
}

/// Stores an object, purges it and sees it fetched again.
pub(super) async fn probe(
    connections: &Connections,
    host: &str,
    path: &str,
) -> Result<Seen, PurgeError> {
    let ask = || Request::new("HEAD", path, host).with("X-Purgebus", "probe");
    let first = connections.exchange(&[ask(), ask()]).await?;
    let stored = first.iter().any(Answer::is_hit);
    let others = connections.exchange_apart(&[ask(), ask()], NEW_CONNECTIONS).await?;
    is_one(first.iter().chain(others.iter().flatten()))?;
    // Our VCL takes the key, a plain one the URL.
    let purge =
        Request::new("PURGE", path, host).with("X-Purgebus-Hard", &format!("u:{host}{path}"));
    let purged = single(connections, purge).await?;
    let manner = manner_of(&purged, stored)?;
    let after = single(connections, ask()).await?;
    if !after.varnish {
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
    let seen = Seen { manner, cache: purged.cache };
    seen.is_same(&after)?;
    let later = connections.exchange_apart(&[ask()], NEW_CONNECTIONS).await?;
    is_purged(others.iter().flatten(), later.iter().flatten())?;
    Ok(seen)
}

async fn single(connections: &Connections, request: Request) -> Result<Answer, PurgeError> {
    let mut answers = connections.exchange(&[request]).await?;
    answers.pop().ok_or_else(|| ExchangeError::Unexpected("no answer").into())
}

/// One cache has one name and one probe object, as long as nobody purges it.
fn is_one<'answers>(
    answers: impl Iterator<Item = &'answers Answer> + Clone,
) -> Result<(), PurgeError> {
    let mut names = answers.clone().filter_map(|answer| answer.cache.as_ref());
    if let Some(one) = names.next()
        && let Some(other) = names.find(|name| *name != one)
    {
        return Err(several(format!("{one} and {other}")));
    }
    let mut objects = answers.filter_map(|answer| answer.stored_by.as_ref());
    if let Some(one) = objects.next()
        && let Some(other) = objects.find(|object| *object != one)
    {
        let told = format!("one has the probe object as X-Varnish {one}, another as {other}");
        return Err(several(told));
    }
    Ok(())
}

/// What one cache has purged is nowhere. Caches that began together number their transactions alike, so that objects
/// of two may bear one number.
fn is_purged<'answers>(
    mut before: impl Iterator<Item = &'answers Answer>,
    mut after: impl Iterator<Item = &'answers Answer>,
) -> Result<(), PurgeError> {
    let Some(object) = before.find_map(|answer| answer.stored_by.as_ref()) else { return Ok(()) };
    match after.find(|answer| answer.stored_by.as_ref() == Some(object)) {
        Some(_) => Err(several("one still has the probe object that another has purged".into())),
        None => Ok(()),
    }
}

fn several(told: String) -> PurgeError {
    unavailable(Trouble::Several(told))
}
