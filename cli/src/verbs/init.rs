//! `purgebus init`: a first configuration, a first token, and whether they work.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{ArgGroup, Args};
use publisher::TokenEntry;
use schemas::{Host, SiteName};
use toml::Value;

use crate::exit::{Exit, Failure, tell};
use crate::{output, secret};

use super::check::Check;
use super::new_file::write;

const CONFIG: &str = "purgebus.toml";
const TOKENS: &str = "tokens.toml";
const SECRET: &str = "cms.token";
/// The name of the first token.
const TOKEN_NAME: &str = "cms";
const AFTER_REDIS: &str = "after = \"redis\"                   # purged only when Redis is, so that it does not refill from it\n";

/// Writes a commented configuration and a first token, and tries them out
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("cache").args(["varnish", "redis"]).multiple(true).required(true),
    after_help = "\
Examples:
  purgebus init --host www.example.com --varnish http://127.0.0.1:6081
  purgebus init --host www.example.com --host example.com --varnish http://127.0.0.1:6081 --redis redis://127.0.0.1:6379
  purgebus init --dir /etc/purgebus --data /var/lib/purgebus --host www.example.com --redis redis://127.0.0.1:6379

Overwrites nothing. Ends as `check --connect` does: 1 where a cache does not answer or does not purge as it should."
)]
pub(crate) struct Init {
    /// A host of the site; repeat it for more
    #[arg(long = "host", value_name = "HOST", required = true)]
    hosts: Vec<Host>,
    /// The site's name
    #[arg(long, default_value = "main")]
    site: SiteName,
    /// The address of a Varnish, such as <http://127.0.0.1:6081>
    #[arg(long, value_name = "URL")]
    varnish: Option<String>,
    /// The address of a Redis, such as <redis://127.0.0.1:6379>
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// The folder for the configuration and the token
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// The folder for journal and cursors; `data` in the folder of the configuration if left out
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Init {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        let folder = made(&self.dir).map_err(Failure::failed)?;
        let data = made(&self.data.clone().unwrap_or_else(|| folder.join("data")));
        let data = data.map_err(Failure::failed)?;
        let files = [CONFIG, TOKENS, SECRET].map(|name| folder.join(name));
        if let Some(taken) = files.iter().find(|file| file.exists()) {
            let message = format!(
                "{} is there already, and nothing was written; remove it, or name another folder with --dir",
                taken.display()
            );
            return Err(Failure::message(Exit::WrongUsage, message));
        }
        let [config, tokens, secret] = files;
        let token = secret::new().map_err(Failure::failed)?;
        let entry = self.entry(&token);
        write(&secret, &format!("{token}\n"))?;
        write(&tokens, &entry)?;
        write(&config, &self.document(&tokens, &data)?)?;
        tell(format_args!(
            "wrote {}, {} and {}",
            config.display(),
            tokens.display(),
            secret.display()
        ));
        let end = Check::connecting(config.clone()).run().await?;
        if end == Exit::Done {
            let (config, secret) = (config.display(), secret.display());
            output::line(format_args!("next    purgebus serve -c {config}"))?;
            let site = &self.site;
            output::line(format_args!(
                "        purgebus purge --token-file {secret} --site {site} --tag article-7 --wait applied"
            ))?;
        }
        Ok(end)
    }

    /// What a CMS and whoever tries things out need; not what only SREs do.
    fn entry(&self, secret: &str) -> String {
        let hash = TokenEntry::hash_of(secret);
        format!(
            "# More tokens, for less: purgebus token create --help\n\
             [[token]]\n\
             name = \"{TOKEN_NAME}\"\n\
             hash = \"{hash}\"\n\
             sites = [{}]\n\
             allow = [\"url\", \"prefix\", \"tag\", \"key\", \"read\"]\n\
             everything = \"confirmed\"\n",
            quoted(self.site.as_str())
        )
    }

    fn document(&self, tokens: &Path, data: &Path) -> Result<String, Failure> {
        let path = |path: &Path| {
            let text = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()));
            text.map(quoted).map_err(|error| Failure::new(Exit::WrongUsage, error))
        };
        let hosts = self.hosts.iter().map(|host| quoted(host.as_str())).collect::<Vec<_>>();
        let parts = format!(
            "# Publisher and agent in one process. Every key: docs/configuration.md.\n\
             # After a change: purgebus check -c FILE --connect\n\
             \n\
             [publisher]\n\
             listen = \"127.0.0.1:8377\"         # where the CMS calls; for other machines, another address\n\
             journal = {journal}  # on a disk that survives a restart\n\
             tokens_file = {tokens}\n\
             \n\
             [[site]]\n\
             name = {site}\n\
             hosts = [{hosts}]   # all hosts under which its pages are cached\n\
             \n\
             [agent]\n\
             region = \"local\"\n\
             state = {state}  # on a disk that lives as long as the caches\n",
            journal = path(&data.join("journal"))?,
            tokens = path(tokens)?,
            site = quoted(self.site.as_str()),
            hosts = hosts.join(", "),
            state = path(&data.join("agent"))?,
        );
        let redis = self.redis.as_deref().map(redis).unwrap_or_default();
        let varnish = self.varnish.as_deref().map(varnish).unwrap_or_default();
        let both = self.redis.is_some() && self.varnish.is_some();
        Ok(parts + &redis + &varnish + if both { AFTER_REDIS } else { "" })
    }
}

/// The inner cache.
fn redis(url: &str) -> String {
    format!(
        "\n\
         [[agent.cache]]\n\
         name = \"redis\"\n\
         driver = \"redis\"\n\
         url = {}\n\
         # How the application names its keys. A tag's set holds the names of the keys that bear the tag.\n\
         keys = {{ url = \"page:{{host}}{{path}}\", tag_set = \"tags:{{site}}:{{tag}}\", key = \"{{site}}:{{key}}\" }}\n",
        quoted(url)
    )
}

/// The outer cache.
fn varnish(url: &str) -> String {
    format!(
        "\n\
         # Its VCL includes purgebus.vcl: docs/caches/varnish.md\n\
         [[agent.cache]]\n\
         name = \"varnish\"\n\
         driver = \"varnish\"\n\
         url = {}\n",
        quoted(url)
    )
}

/// The folder, in full; made where it is missing, for us alone.
fn made(folder: &Path) -> anyhow::Result<PathBuf> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.and_then(|()| folder.canonicalize())
        .with_context(|| format!("cannot make the folder {}", folder.display()))
}

/// As a TOML string.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
