//! Dead letters: told as agents tell them, and what humans order about them.

use std::collections::BTreeSet;
use std::str::FromStr;

use jiff::Timestamp;
use schemas::api::{
    DeadLetterPage, DeadLetterSummary, DeadLettersOrdered, DeadLettersRequest, Mistake,
};
use schemas::{CHOSEN_LETTERS_MAX, ChosenLetters, Ordered, Refusal, Region};
use uuid::Uuid;

use super::pauses::said_by;
use super::{NotOrdered, PublisherHandle, Repeatable};
use crate::intake::{Mistakes, check_text};

/// What becomes of dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// They are purged again.
    Retry,
    /// They are given up.
    Drop,
}

/// A page of dead letters.
#[derive(Debug, Clone)]
pub(crate) struct LettersRequest {
    /// Which.
    pub(crate) chosen: ChosenLetters,
    /// Most rows.
    pub(crate) limit: usize,
    /// Only those that come after this one, newest first.
    pub(crate) after: Option<(Timestamp, Uuid)>,
}

impl PublisherHandle {
    /// A page of dead letters, and after which one the next page begins.
    pub(crate) fn dead_letters(
        &self,
        LettersRequest { chosen, limit, after }: LettersRequest,
    ) -> (DeadLetterPage, Option<(Timestamp, Uuid)>) {
        let (mut items, untold) = self.0.tracker.dead_letters(&chosen);
        let age = |row: &DeadLetterSummary| (row.first_seen, row.id);
        items.retain(|row| after.is_none_or(|after| age(row) < after));
        items.sort_by_key(|row| std::cmp::Reverse(age(row)));
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().map(age).filter(|_| more);
        (DeadLetterPage { items, next_cursor: None, untold }, next)
    }

    /// The dead letter of that name.
    pub(crate) fn dead_letter(&self, id: Uuid) -> Option<DeadLetterSummary> {
        self.0.tracker.dead_letter(id)
    }

    /// Orders that dead letters are retried or dropped. A repetition by the same caller is the same order.
    pub(crate) async fn decide(
        &self,
        decision: Decision,
        request: &DeadLettersRequest,
        caller: &str,
        repeatable: Option<Repeatable<'_>>,
    ) -> Result<DeadLettersOrdered, NotOrdered> {
        let id = self.order_id(repeatable, &(decision == Decision::Drop, request));
        let letters = self.meant(decision, request).map_err(NotOrdered::Invalid)?;
        if !self.0.tracker.has_ordered(id) {
            self.all_known(&letters).map_err(NotOrdered::Invalid)?;
        }
        let (rows, _) = self.0.tracker.dead_letters(&letters);
        let concerned: BTreeSet<_> = rows.iter().map(|row| (&row.agent, &row.cache)).collect();
        let regions: BTreeSet<&Region> = rows.iter().map(|row| &row.region).collect();
        let caches = regions.iter().flat_map(|region| self.0.tracker.ordered_caches(region, None));
        let caches = caches.filter(|row| concerned.contains(&(&row.agent, &row.cache))).collect();
        let what = match decision {
            Decision::Retry => Ordered::Retry { letters },
            Decision::Drop => Ordered::Drop {
                letters,
                reason: request.reason.clone().unwrap_or_default(),
                by: said_by(caller),
            },
        };
        let order = self.0.tracker.order(id, what).await?;
        Ok(DeadLettersOrdered {
            id,
            ordered_at: order.at,
            expires_at: order.expires_at,
            letters: rows.len() as u64,
            caches,
        })
    }

    /// The letters that a request means, or all that is wrong with it.
    fn meant(
        &self,
        decision: Decision,
        request: &DeadLettersRequest,
    ) -> Result<ChosenLetters, Vec<Mistake>> {
        let mut mistakes = Mistakes::default();
        let mut ids = request.ids.clone();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() > CHOSEN_LETTERS_MAX {
            mistakes.add("/ids", format!("are more than {CHOSEN_LETTERS_MAX}; ask several times"));
        }
        let DeadLettersRequest { region, agent, cache, site, text, all, reason, .. } = request;
        let letters = ChosenLetters {
            ids,
            region: parsed("/region", region.as_deref(), &mut mistakes),
            agent: parsed("/agent", agent.as_deref(), &mut mistakes),
            cache: parsed("/cache", cache.as_deref(), &mut mistakes),
            site: parsed("/site", site.as_deref(), &mut mistakes),
            text: text.clone(),
        };
        if let Some(region) =
            letters.region.as_ref().filter(|it| !self.known_regions().contains(it))
        {
            mistakes.add("/region", format!("there is no region {region}"));
        }
        check_text("/text", text.as_deref(), &mut mistakes);
        check_text("/reason", reason.as_deref(), &mut mistakes);
        if text.as_deref() == Some("") {
            mistakes.add("/text", "is empty; leave it out");
        }
        let chosen = [region, agent, cache, site, text].into_iter().any(Option::is_some);
        match (chosen || !letters.ids.is_empty(), all) {
            (false, false) => mistakes.add("", "give ids, a filter, or all: true"),
            (true, true) => {
                mistakes.add("/all", "means all there are; give nothing else, or leave it out");
            }
            _ => {}
        }
        match (decision, reason.as_deref()) {
            (Decision::Drop, None | Some("")) => {
                mistakes.add("/reason", "is missing; say why they need not be purged");
            }
            (Decision::Retry, Some(_)) => mistakes.add("/reason", "is for those who drop"),
            _ => {}
        }
        mistakes.finish(letters)
    }

    fn all_known(&self, letters: &ChosenLetters) -> Result<(), Vec<Mistake>> {
        let chosen = ChosenLetters { ids: letters.ids.clone(), ..ChosenLetters::default() };
        let known: BTreeSet<Uuid> =
            self.0.tracker.dead_letters(&chosen).0.iter().map(|row| row.id).collect();
        let mut mistakes = Mistakes::default();
        for id in letters.ids.iter().filter(|id| !known.contains(id)) {
            mistakes.add("/ids", format!("there is no dead letter {id}, or no agent tells of it"));
        }
        mistakes.finish(())
    }
}

/// What a text of a request says, if it may say so.
pub(super) fn parsed<T: FromStr<Err = Refusal>>(
    pointer: &str,
    text: Option<&str>,
    mistakes: &mut Mistakes,
) -> Option<T> {
    mistakes.take(pointer, text?.parse())
}
