//! Budgets: how much a token, and a site, may purge.
//!
//! A bucket fills with time and may be overdrawn once: the next request then waits until it is filled again. So a
//! request that is larger than the bucket is possible, and no more is spent in the long run than is filled in.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use parking_lot::Mutex;
use schemas::{Selector, SelectorKind, SiteName};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// A bucket holds what is filled in during so long.
const FILLED_IN: Duration = Duration::from_secs(10);
/// With more buckets, full ones are forgotten: tokens come and go.
const BUCKETS_MAX: usize = 10_000;

/// What a request costs at most in a second, in the long run: a URL or a key 1, a tag 5, a prefix 20, a whole site
/// 1,000. Written `100/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate(NonZeroU32);

/// Not a budget.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a budget; give what may be spent in a second, such as \"100/s\"")]
pub struct NoRate(String);

impl FromStr for Rate {
    type Err = NoRate;

    fn from_str(text: &str) -> Result<Self, NoRate> {
        let rate = text.strip_suffix("/s").and_then(|rate| rate.parse().ok());
        rate.map(Self).ok_or_else(|| NoRate(text.to_owned()))
    }
}

impl TryFrom<String> for Rate {
    type Error = NoRate;

    fn try_from(text: String) -> Result<Self, NoRate> {
        text.parse()
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

impl Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

/// What it costs to purge these.
pub(crate) fn cost(selectors: &[Selector]) -> u32 {
    let cost = |selector: &Selector| match selector.kind() {
        SelectorKind::Url | SelectorKind::UrlAnyQuery | SelectorKind::Key => 1,
        SelectorKind::Tag => 5,
        SelectorKind::Prefix => 20,
        SelectorKind::Everything => 1_000,
    };
    selectors.iter().map(cost).fold(0, u32::saturating_add)
}

/// A budget that is spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overdrawn {
    /// Whose.
    pub(crate) whose: String,
    /// The budget.
    pub(crate) rate: Rate,
    /// How long until there is some again.
    pub(crate) wait: Duration,
}

/// What is left of every budget.
#[derive(Debug, Default)]
pub(crate) struct Budgets {
    sites: BTreeMap<SiteName, Rate>,
    buckets: Mutex<BTreeMap<String, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    rate: Rate,
    left: f64,
    at: Instant,
}

impl Budgets {
    /// Of these sites; those of tokens stand with the tokens.
    pub(crate) fn new(sites: BTreeMap<SiteName, Rate>) -> Self {
        Self { sites, buckets: Mutex::default() }
    }

    /// Spends it from the token's budget and the site's, or from none of them.
    pub(crate) fn spend(
        &self,
        token: Option<(&str, Rate)>,
        site: &SiteName,
        cost: u32,
    ) -> Result<(), Overdrawn> {
        let token = token.map(|(name, rate)| (format!("token {name}"), rate));
        let site = self.sites.get(site).map(|rate| (format!("site {site}"), *rate));
        if token.is_none() && site.is_none() {
            return Ok(());
        }
        let mut buckets = self.buckets.lock();
        let now = Instant::now();
        if buckets.len() > BUCKETS_MAX {
            buckets.retain(|_, bucket| bucket.fill(bucket.rate, now).is_some());
        }
        for (whose, rate) in token.iter().chain(&site) {
            let bucket = buckets.entry(whose.clone());
            let bucket = bucket.or_insert_with(|| Bucket::full(*rate, now));
            if let Some(wait) = bucket.fill(*rate, now) {
                return Err(Overdrawn { whose: whose.clone(), rate: *rate, wait });
            }
        }
        for (whose, _) in token.iter().chain(&site) {
            if let Some(bucket) = buckets.get_mut(whose) {
                bucket.left -= f64::from(cost);
            }
        }
        Ok(())
    }
}

impl Bucket {
    fn full(rate: Rate, now: Instant) -> Self {
        Self { rate, left: capacity(rate), at: now }
    }

    /// Fills it in; how long until something is in it, where nothing is.
    fn fill(&mut self, rate: Rate, now: Instant) -> Option<Duration> {
        if self.rate != rate {
            *self = Self::full(rate, now);
        }
        let filled = now.duration_since(self.at).as_secs_f64() * f64::from(rate.0.get());
        self.left = (self.left + filled).min(capacity(rate));
        self.at = now;
        let missing = -self.left / f64::from(rate.0.get());
        (self.left <= 0.0).then(|| Duration::try_from_secs_f64(missing).unwrap_or(Duration::MAX))
    }
}

fn capacity(rate: Rate) -> f64 {
    FILLED_IN.as_secs_f64() * f64::from(rate.0.get())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use schemas::{Host, Path};
    use tokio::time::advance;

    use super::*;

    fn site() -> SiteName {
        "shop".parse().unwrap()
    }

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    #[test]
    fn a_budget_is_so_much_a_second_and_nothing_else() {
        assert_eq!(rate("100/s").to_string(), "100/s");
        for wrong in ["", "0/s", "-1/s", "100", "100/m", "1.5/s", "4294967296/s"] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn wide_selectors_cost_more() {
        let (tag, key) = (Selector::Tag("a".parse().unwrap()), Selector::Key("a".parse().unwrap()));
        let (host, path): (Host, Path) = ("a.example".parse().unwrap(), "/a".parse().unwrap());
        let prefix = Selector::Prefix { host, path };
        assert_eq!(cost(&[]), 0);
        assert_eq!(cost(&[tag.clone(), key, tag.clone()]), 11);
        assert_eq!(cost(&[Selector::Everything, tag, prefix]), 1_025);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_spent_is_filled_in_again_and_a_large_request_is_paid_off_first() {
        let budgets = Budgets::new(BTreeMap::new());
        let spend = |cost| budgets.spend(Some(("cms", rate("10/s"))), &site(), cost);
        assert_eq!(spend(99), Ok(()));
        assert_eq!(spend(1_000), Ok(()), "one is left");
        let overdrawn = spend(1).unwrap_err();
        assert_eq!(
            (overdrawn.whose.as_str(), overdrawn.wait),
            ("token cms", Duration::from_millis(99_900))
        );
        advance(Duration::from_millis(99_900)).await;
        assert!(spend(1).is_err(), "nothing is in it yet");
        advance(Duration::from_millis(100)).await;
        assert_eq!(spend(1), Ok(()));
        assert!(spend(1).is_err());
        advance(Duration::from_hours(1)).await;
        assert_eq!(spend(101), Ok(()), "no more than a full bucket is saved up");
        assert!(spend(1).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_over_one_budget_spends_nothing_of_the_other() {
        let budgets = Budgets::new([(site(), rate("1/s"))].into());
        let other = "news".parse().unwrap();
        let spend = |name, site: &SiteName| budgets.spend(Some((name, rate("1/s"))), site, 10);
        assert_eq!(spend("a", &site()), Ok(()));
        assert_eq!(spend("b", &site()).unwrap_err().whose, "site shop");
        assert_eq!(spend("b", &other), Ok(()), "the token's own is untouched");
        assert_eq!(spend("a", &other).unwrap_err().whose, "token a");
        assert_eq!(budgets.spend(None, &other, 9), Ok(()), "neither has one");
    }

    proptest! {
        /// In the long run nothing more is spent than the bucket and what was filled in, and one request.
        #[test]
        fn no_more_is_spent_than_is_filled_in(
            steps in proptest::collection::vec((1_u32..2_000, 0_u64..5_000), 1..100),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();
            runtime.block_on(async {
                let budgets = Budgets::default();
                let (mut spent, mut passed) = (0_u64, 0_u64);
                for (cost, pause) in steps {
                    advance(Duration::from_millis(pause)).await;
                    passed += pause;
                    let before = spent;
                    if budgets.spend(Some(("a", rate("100/s"))), &site(), cost).is_ok() {
                        spent += u64::from(cost);
                        assert!(before * 10 <= 10_000 + passed, "{before} in {passed} ms");
                    }
                }
            });
        }
    }
}
