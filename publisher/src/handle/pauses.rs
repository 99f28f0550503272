//! Pauses that a human orders, and ends.

use std::collections::BTreeSet;
use std::time::Duration;

use humantime_serde::re::humantime::parse_duration;
use jiff::{SignedDuration, Timestamp};
use schemas::api::{Mistake, PauseRequest, PauseSummary};
use schemas::{Ordered, PAUSE_MAX, Paused, Region};
use uuid::Uuid;

use super::dead_letters::parsed;
use super::{NotOrdered, PublisherHandle, Repeatable};
use crate::intake::{Mistakes, check_text};
use crate::tracker::{OrderError, StandingPause};

/// The longest pause, for messages.
const AT_MOST: &str = "a pause lasts an hour at most; pause again before it ends";

/// A pause, as it was asked for.
#[derive(Debug, Clone)]
pub(crate) struct WantedPause {
    /// What.
    pub(crate) what: Paused,
    until: Timestamp,
    reason: Option<String>,
}

impl PublisherHandle {
    /// What a request wants paused, or all that is wrong with it; `tokens` are the names of those that there are.
    pub(crate) fn wanted_pause(
        &self,
        request: &PauseRequest,
        tokens: &BTreeSet<String>,
    ) -> Result<WantedPause, Vec<Mistake>> {
        let mut mistakes = Mistakes::default();
        let what = self.what_to_pause(request, tokens, &mut mistakes);
        let until = until(request.until.as_deref(), self.now());
        let until = until.map_err(|detail| mistakes.add("/until", detail)).ok();
        check_text("/reason", request.reason.as_deref(), &mut mistakes);
        let wanted = what.zip(until).map(|(what, until)| WantedPause {
            what,
            until,
            reason: request.reason.clone(),
        });
        mistakes.finish(()).and(wanted.ok_or_else(Vec::new))
    }

    fn what_to_pause(
        &self,
        request: &PauseRequest,
        tokens: &BTreeSet<String>,
        mistakes: &mut Mistakes,
    ) -> Option<Paused> {
        let PauseRequest { site, agent, cache, region, token, .. } = request;
        let given = [site, agent, cache, token].into_iter().flatten().count();
        if given != 1 {
            mistakes.add("", "give one of site, agent, cache and token");
            return None;
        }
        if region.is_some() && cache.is_none() {
            mistakes.add("/region", "goes with cache only");
        }
        let what = if site.is_some() {
            Paused::Site(parsed("/site", site.as_deref(), mistakes)?)
        } else if agent.is_some() {
            Paused::Agent(parsed("/agent", agent.as_deref(), mistakes)?)
        } else if cache.is_some() {
            let cache = parsed("/cache", cache.as_deref(), mistakes)?;
            let region: Option<Option<Region>> =
                region.as_deref().map(|region| parsed("/region", Some(region), mistakes));
            Paused::Cache { cache, region: region.map_or(Some(None), |region| region.map(Some))? }
        } else {
            Paused::Token(token.clone()?)
        };
        match self.is_unknown(&what, tokens) {
            None => Some(what),
            Some((pointer, detail)) => {
                mistakes.add(pointer, detail);
                None
            }
        }
    }

    /// Where what is not there stands in a request, and what to say of it.
    fn is_unknown(
        &self,
        what: &Paused,
        tokens: &BTreeSet<String>,
    ) -> Option<(&'static str, String)> {
        let nobody = || self.0.tracker.paused_caches(Uuid::nil(), what).is_empty();
        match what {
            Paused::Site(site) if self.0.sites.get(site).is_none() => {
                Some(("/site", format!("there is no site {site}")))
            }
            Paused::Agent(agent) if nobody() => {
                Some(("/agent", format!("no agent {agent} has reported a cache")))
            }
            Paused::Cache { cache, region } if nobody() => {
                let place = region.as_ref().map(|region| format!(" in region {region}"));
                let place = place.unwrap_or_default();
                Some(("/cache", format!("no agent has reported a cache {cache}{place}")))
            }
            Paused::Token(token) if !tokens.contains(token) => Some((
                "/token",
                format!("the tokens file of this publisher has no token {token:?}"),
            )),
            _ => None,
        }
    }

    /// Orders a pause. A repetition by the same caller is the same one.
    pub(crate) async fn pause(
        &self,
        wanted: WantedPause,
        request: &PauseRequest,
        by: &str,
        repeatable: Option<Repeatable<'_>>,
    ) -> Result<PauseSummary, NotOrdered> {
        let id = self.order_id(repeatable, request);
        let WantedPause { what, until, reason } = wanted;
        let what = Ordered::Pause { what, reason, by: said_by(by) };
        let order = self.0.tracker.order_until(id, what, until).await?;
        let known = self.0.tracker.pauses().into_iter().find(|pause| pause.id == order.id);
        let pause = known.ok_or(OrderError::Over)?;
        Ok(self.pause_summary(pause))
    }

    /// Every pause in force, once the boards have been read.
    pub(crate) async fn pauses(&self) -> Result<Vec<StandingPause>, NotOrdered> {
        if !self.0.tracker.caught_up(super::status::BOARDS_WITHIN).await {
            return Err(OrderError::Unread.into());
        }
        Ok(self.0.tracker.pauses())
    }

    /// A pause as it is told.
    pub(crate) fn pause_summary(&self, pause: StandingPause) -> PauseSummary {
        let caches = self.0.tracker.paused_caches(pause.id, &pause.what);
        let StandingPause { id, what, reason, by, publisher, since, until } = pause;
        let (mut site, mut agent, mut cache, mut region, mut token) =
            (None, None, None, None, None);
        match what {
            Paused::Site(name) => site = Some(name),
            Paused::Agent(name) => agent = Some(name),
            Paused::Cache { cache: name, region: place } => (cache, region) = (Some(name), place),
            Paused::Token(name) => token = Some(name),
        }
        PauseSummary {
            id,
            site,
            agent,
            cache,
            region,
            token,
            reason,
            by,
            publisher,
            since,
            until,
            caches,
        }
    }

    /// Ends a pause.
    pub(crate) async fn resume(&self, pause: &StandingPause, by: &str) -> Result<(), NotOrdered> {
        Ok(self.0.tracker.resume(pause, self.new_id(), said_by(by)).await?)
    }
}

/// Who says so.
pub(super) fn said_by(name: &str) -> String {
    if name.is_empty() { "anyone" } else { name }.to_owned()
}

/// Until when a pause lasts that is asked for `now`.
fn until(text: Option<&str>, now: Timestamp) -> Result<Timestamp, String> {
    let longest = SignedDuration::try_from(PAUSE_MAX).unwrap_or_default();
    let after = |span: SignedDuration| now.checked_add(span).map_err(|_| AT_MOST.to_owned());
    let Some(text) = text else { return after(longest) };
    let until = match (text.parse(), parse_duration(text)) {
        (Ok(time), _) => time,
        (_, Ok(Duration::ZERO)) => return Err("is no time at all".to_owned()),
        (_, Ok(span)) => after(SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX))?,
        _ => {
            return Err(
                "cannot be read; give a time such as 2026-01-01T12:00:00Z, or 15m".to_owned()
            );
        }
    };
    if until <= now {
        return Err(format!("is over: it is {now:.0} now"));
    }
    if until > after(longest)? { Err(AT_MOST.to_owned()) } else { Ok(until) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_lasts_until_a_time_or_for_a_while_and_an_hour_at_most() {
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let of = |text: &str| until(Some(text), now).map(|until| until.to_string());
        assert_eq!(of("15m").as_deref(), Ok("2026-11-21T10:15:00Z"));
        assert_eq!(of("1h").as_deref(), Ok("2026-11-21T11:00:00Z"));
        assert_eq!(of("2026-11-21T10:00:01Z").as_deref(), Ok("2026-11-21T10:00:01Z"));
        assert_eq!(until(None, now).unwrap().to_string(), "2026-11-21T11:00:00Z");
        for (wrong, said) in [
            ("0s", "no time"),
            ("2026-11-21T10:00:00Z", "is over"),
            ("61m", "an hour at most"),
            ("2026-11-21T11:00:01Z", "an hour at most"),
            ("9999999999h", "an hour at most"),
            ("soon", "cannot be read"),
            ("", "cannot be read"),
        ] {
            let told = of(wrong).expect_err(wrong);
            assert!(told.contains(said), "{wrong}: {told}");
        }
    }
}
