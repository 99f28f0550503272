//! What a test configures; everything else has the defaults of the product.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::process::Home;

/// Redis holds pages too.
pub const PAGES: &str = "url = \"page:{host}{path}\", tag = \"tag:{tag}\", key = \"{site}:{key}\"";
/// Redis holds no pages.
pub const DATA: &str = "tag = \"tag:{tag}\", key = \"{site}:{key}\"";
/// The host of the one site.
const HOST: &str = "www.example.com";

/// The caches of an agent. In a `serve`: of `edge-1` in the region `local`, with one site, `main`.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    regions: Option<&'static [&'static str]>,
    journal: Option<PathBuf>,
    publisher: String,
    caches: String,
}

impl Settings {
    /// With Redis, named as `keys` says: [`PAGES`] or [`DATA`]. `more` holds further keys of its table.
    #[must_use]
    pub fn redis(mut self, address: SocketAddr, keys: &str, more: &str) -> Self {
        writeln!(
            self.caches,
            "[[agent.cache]]\nname = \"redis\"\ndriver = \"redis\"\nurl = \"redis://{address}\"\n\
             keys = {{ {keys} }}\n{more}\n"
        )
        .expect("text takes text");
        self
    }

    /// With Varnish. `more` holds further keys of its table.
    #[must_use]
    pub fn varnish(self, address: SocketAddr, more: &str) -> Self {
        self.http("varnish", address, more)
    }

    /// With several Varnishes that are purged together. `more` holds further keys of their table.
    #[must_use]
    pub fn varnishes(mut self, addresses: &[SocketAddr], more: &str) -> Self {
        let urls: Vec<_> = addresses.iter().map(|address| format!("http://{address}")).collect();
        writeln!(
            self.caches,
            "[[agent.cache]]\nname = \"varnish\"\ndriver = \"varnish\"\nurls = {urls:?}\n{more}\n"
        )
        .expect("text takes text");
        self
    }

    /// With a Varnish of that name. `more` holds further keys of its table.
    #[must_use]
    pub fn varnish_named(self, name: &str, address: SocketAddr, more: &str) -> Self {
        self.http_named(name, "varnish", address, more)
    }

    /// With an edge. `more` holds further keys of its table.
    #[must_use]
    pub fn edge(self, address: SocketAddr, more: &str) -> Self {
        self.http("edge", address, more)
    }

    /// The site is held in these regions.
    #[must_use]
    pub fn regions(self, regions: &'static [&'static str]) -> Self {
        Self { regions: Some(regions), ..self }
    }

    /// The journal lies there, and not in the home of the process.
    #[must_use]
    pub fn journal(self, folder: &Path) -> Self {
        Self { journal: Some(folder.to_owned()), ..self }
    }

    /// Further keys of `[publisher]`.
    #[must_use]
    pub fn publisher(self, more: &str) -> Self {
        Self { publisher: more.to_owned(), ..self }
    }

    /// With an edge of that name. `more` holds further keys of its table.
    #[must_use]
    pub fn edge_named(self, name: &str, address: SocketAddr, more: &str) -> Self {
        self.http_named(name, "edge", address, more)
    }

    fn http(self, driver: &str, address: SocketAddr, more: &str) -> Self {
        self.http_named(driver, driver, address, more)
    }

    fn http_named(mut self, name: &str, driver: &str, address: SocketAddr, more: &str) -> Self {
        writeln!(
            self.caches,
            "[[agent.cache]]\nname = \"{name}\"\ndriver = \"{driver}\"\nurl = \"http://{address}\"\n\
             {more}\n"
        )
        .expect("text takes text");
        self
    }

    /// Every `[[agent.cache]]`.
    pub(crate) fn caches(&self) -> &str {
        &self.caches
    }

    /// As the file of a `serve`.
    pub fn toml(&self, home: &Home) -> String {
        let Home { api, admin, .. } = home;
        let journal = self.journal.clone().unwrap_or_else(|| home.journal());
        let state = home.state();
        let (journal, state) = (journal.display(), state.display());
        format!(
            "grace = \"15s\"\n\n\
             [publisher]\nname = \"publisher-1\"\nlisten = \"{api}\"\nadmin = \"{admin}\"\n\
             journal = \"{journal}\"\n{publisher}\n\n{site}\n\
             [agent]\nname = \"edge-1\"\nadmin = \"{admin}\"\nstate = \"{state}\"\n\n{caches}",
            site = site(self.regions),
            publisher = self.publisher,
            caches = self.caches,
        )
    }
}

/// The one site of all tests, held in these regions.
pub(crate) fn site(regions: Option<&[&str]>) -> String {
    let regions = regions.map_or(String::new(), |regions| format!("regions = {regions:?}\n"));
    format!("[[site]]\nname = \"main\"\nhosts = [\"{HOST}\"]\n{regions}")
}
