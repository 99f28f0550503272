//! Who asks: the bearer of a token, or anyone where there are none.

use std::sync::Arc;

use schemas::api::Mistake;
use schemas::{Region, SiteName};

use crate::budget::Rate;
use crate::intake::{Terms, Wanted};
use crate::tokens::{Act, Scope, Token, listed};

/// Who asks. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caller(Option<Arc<Token>>);

impl Caller {
    /// Who everyone is where there are no tokens.
    pub(crate) const ANYONE: Self = Self(None);

    /// The bearer of a token.
    pub(crate) fn bearer(token: Arc<Token>) -> Self {
        Self(Some(token))
    }

    /// The token's name; empty for anyone.
    pub(crate) fn name(&self) -> &str {
        self.0.as_ref().map_or("", |token| token.name.as_str())
    }

    /// Whether it may do this at all; if not, what it lacks.
    pub(crate) fn may(&self, act: Act) -> Result<(), String> {
        let Some(token) = &self.0 else { return Ok(()) };
        let Token { name, scope, .. } = &**token;
        if scope.allows(act) {
            return Ok(());
        }
        let allowed = listed(scope.allowed());
        Err(format!("the token {name:?} lacks \"{act}\"; it is allowed {allowed}"))
    }

    /// On which terms its requests are read.
    pub(crate) fn terms(&self) -> Terms<'_> {
        let scope = self.scope();
        Terms {
            unattended: scope.is_some_and(Scope::is_unattended),
            only_site: scope.and_then(Scope::only_site),
        }
    }

    /// All of it that goes beyond what the token may.
    pub(crate) fn check(&self, wanted: &Wanted) -> Result<(), Vec<Mistake>> {
        self.scope().map_or(Ok(()), |scope| scope.check(wanted))
    }

    /// The site that its replay is of where it names none.
    pub(crate) fn only_site(&self) -> Option<&SiteName> {
        self.scope().and_then(Scope::only_site)
    }

    /// All of a replay for that site and region that goes beyond what the token may.
    pub(crate) fn check_replay(
        &self,
        site: Option<&SiteName>,
        region: Option<&Region>,
    ) -> Result<(), Vec<Mistake>> {
        self.scope().map_or(Ok(()), |scope| scope.check_replay(site, region))
    }

    /// Whether it may read of all sites.
    pub(crate) fn reads_all(&self) -> bool {
        self.scope().and_then(Scope::sites).is_none()
    }

    /// Whether it may hold up what is done for this site, or, without one, for all; if not, why.
    pub(crate) fn may_stop(&self, site: Option<&SiteName>) -> Result<(), String> {
        let Some(sites) = self.scope().and_then(Scope::sites) else { return Ok(()) };
        match site {
            Some(site) if sites.contains(site) => Ok(()),
            Some(site) => Err(format!("{site}: the token is for {}", listed(sites))),
            None => Err(format!(
                "agents, caches and tokens are of every site; the token may pause {} only",
                listed(sites)
            )),
        }
    }

    /// Whose budget is spent, and what it is.
    pub(crate) fn budget(&self) -> Option<(&str, Rate)> {
        let token = self.0.as_ref()?;
        Some((token.name.as_str(), token.budget?))
    }

    /// Whether it may read of this site.
    pub(crate) fn reads(&self, site: &SiteName) -> bool {
        self.scope().is_none_or(|scope| scope.has_site(site))
    }

    /// The site to read of, where none or this one is asked for; if that may not be, what may.
    pub(crate) fn reading(&self, site: Option<SiteName>) -> Result<Option<SiteName>, String> {
        let Some(sites) = self.scope().and_then(Scope::sites) else { return Ok(site) };
        let only = || self.scope().and_then(Scope::only_site).cloned();
        match site.or_else(only) {
            Some(site) if sites.contains(&site) => Ok(Some(site)),
            _ => {
                Err(format!("the token reads of one site at a time; give one of {}", listed(sites)))
            }
        }
    }

    fn scope(&self) -> Option<&Scope> {
        self.0.as_ref().map(|token| &token.scope)
    }
}
