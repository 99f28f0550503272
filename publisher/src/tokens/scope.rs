//! What a token may do, and what of a request goes beyond it.

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::str::FromStr;

use schemas::api::Mistake;
use schemas::{Audience, Priority, Region, Selector, SelectorKind, SiteName};
use serde::{Deserialize, Serialize};

use crate::intake::{Mistakes, Wanted};

/// Something that a token may be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// To purge URLs.
    Url,
    /// To purge path prefixes.
    Prefix,
    /// To purge tags.
    Tag,
    /// To purge raw keys.
    Key,
    /// To read how things stand.
    Read,
    /// To flush caches.
    Flush,
    /// To retry and drop dead letters.
    DeadLetters,
    /// To retire agents and publishers.
    Retire,
    /// To publish again what the log holds.
    Replay,
    /// To pause, and to cancel invalidations.
    Pause,
    /// To read the audit trail.
    Audit,
}

/// Whether a token may purge whole sites.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Everything {
    /// It may not.
    #[default]
    Never,
    /// It may, with the site's name in `confirm`.
    Confirmed,
    /// It may as it likes: for programs that cannot confirm.
    Unattended,
}

/// What a token may do; where something is `None`, without bound.
#[derive(Debug)]
pub(crate) struct Scope {
    pub(super) sites: Option<BTreeSet<SiteName>>,
    pub(super) allow: BTreeSet<Act>,
    pub(super) everything: Everything,
    pub(super) regions: Option<BTreeSet<Region>>,
    pub(super) priorities: Option<BTreeSet<Priority>>,
}

impl Act {
    /// Every one.
    pub const ALL: [Self; 11] = [
        Self::Url,
        Self::Prefix,
        Self::Tag,
        Self::Key,
        Self::Read,
        Self::Flush,
        Self::DeadLetters,
        Self::Retire,
        Self::Replay,
        Self::Pause,
        Self::Audit,
    ];

    /// What a token may do that says nothing of it: what a CMS needs.
    pub fn usual() -> BTreeSet<Self> {
        [Self::Url, Self::Prefix, Self::Tag, Self::Key, Self::Read].into()
    }

    /// Its name in a tokens file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::Prefix => "prefix",
            Self::Tag => "tag",
            Self::Key => "key",
            Self::Read => "read",
            Self::Flush => "flush",
            Self::DeadLetters => "dead_letters",
            Self::Retire => "retire",
            Self::Replay => "replay",
            Self::Pause => "pause",
            Self::Audit => "audit",
        }
    }

    /// Whether no site bounds it.
    pub(super) fn is_of_every_site(self) -> bool {
        matches!(self, Self::Flush | Self::DeadLetters | Self::Retire | Self::Audit)
    }
}

impl Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Act {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let act = Self::ALL.into_iter().find(|act| act.as_str() == text);
        act.ok_or_else(|| format!("{text:?} is none of {}", listed(Self::ALL)))
    }
}

impl Everything {
    pub(super) fn is_never(self) -> bool {
        self == Self::Never
    }
}

impl Scope {
    /// Whether this is in it.
    pub(crate) fn allows(&self, act: Act) -> bool {
        self.allow.contains(&act)
    }

    /// All that it allows.
    pub(crate) fn allowed(&self) -> &BTreeSet<Act> {
        &self.allow
    }

    /// Whether it may purge a whole site without a word of consent.
    pub(crate) fn is_unattended(&self) -> bool {
        self.everything == Everything::Unattended
    }

    /// The sites that it is bounded to.
    pub(crate) fn sites(&self) -> Option<&BTreeSet<SiteName>> {
        self.sites.as_ref()
    }

    /// The only site there is for it.
    pub(crate) fn only_site(&self) -> Option<&SiteName> {
        self.sites.as_ref().filter(|sites| sites.len() == 1)?.first()
    }

    /// Whether it may read of this site.
    pub(crate) fn has_site(&self, site: &SiteName) -> bool {
        self.sites.as_ref().is_none_or(|sites| sites.contains(site))
    }

    /// All that goes beyond it.
    pub(crate) fn check(&self, wanted: &Wanted) -> Result<(), Vec<Mistake>> {
        let mut mistakes = Mistakes::default();
        let Self { sites, regions, priorities, .. } = self;
        if let Some(sites) = sites.as_ref().filter(|sites| !sites.contains(&wanted.site)) {
            mistakes.add("/site", format!("{}: the token is for {}", wanted.site, listed(sites)));
        }
        let kinds: BTreeSet<SelectorKind> = wanted.selectors.iter().map(Selector::kind).collect();
        for (pointer, act) in kinds.into_iter().filter_map(|kind| self.lacks(kind)) {
            let allowed = listed(&self.allow);
            mistakes.add(pointer, format!("the token lacks {act:?}; it is allowed {allowed}"));
        }
        if let Some(priorities) = priorities.as_ref().filter(|it| !it.contains(&wanted.priority)) {
            let detail = format!("{}: the token is for {}", wanted.priority, listed(priorities));
            mistakes.add("/priority", detail);
        }
        match (regions, &wanted.audience) {
            (Some(regions), Audience::All) => {
                let detail =
                    format!("is left out; the token purges in {}: name them", listed(regions));
                mistakes.add("/regions", detail);
            }
            (Some(regions), Audience::Regions(wanted)) if !wanted.is_subset(regions) => {
                mistakes.add("/regions", format!("the token purges in {} only", listed(regions)));
            }
            _ => {}
        }
        mistakes.finish(())
    }

    /// What of a replay for that site and region goes beyond it. It is of what others were allowed once, so that
    /// neither kinds of selector nor priorities count.
    pub(crate) fn check_replay(
        &self,
        site: Option<&SiteName>,
        region: Option<&Region>,
    ) -> Result<(), Vec<Mistake>> {
        let mut mistakes = Mistakes::default();
        if let Some(sites) = &self.sites
            && !site.is_some_and(|site| sites.contains(site))
        {
            mistakes.add("/site", format!("the token replays of {} only: name one", listed(sites)));
        }
        if let Some(regions) = &self.regions
            && !region.is_some_and(|region| regions.contains(region))
        {
            let detail = format!("the token replays in {} only: name one", listed(regions));
            mistakes.add("/region", detail);
        }
        mistakes.finish(())
    }

    /// Where selectors of this kind stand in a request, and what a token needs to purge them, if this one lacks it.
    fn lacks(&self, kind: SelectorKind) -> Option<(&'static str, &'static str)> {
        let (pointer, act) = match kind {
            SelectorKind::Url | SelectorKind::UrlAnyQuery => ("/urls", Act::Url),
            SelectorKind::Prefix => ("/prefixes", Act::Prefix),
            SelectorKind::Tag => ("/tags", Act::Tag),
            SelectorKind::Key => ("/keys", Act::Key),
            SelectorKind::Everything => {
                return self.everything.is_never().then_some(("/everything", "everything"));
            }
        };
        (!self.allows(act)).then_some((pointer, act.as_str()))
    }
}

/// The names, for a message.
pub(crate) fn listed(names: impl IntoIterator<Item = impl Display>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
