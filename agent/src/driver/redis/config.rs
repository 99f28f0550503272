//! The driver's own keys of a `[[agent.cache]]` with `driver = "redis"`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use broker_adapter::{Secret, TlsConfig};
use redis::{ConnectionAddr, ConnectionInfo};
use serde::Deserialize;

use super::keyspace::Templates;
use super::template::{Slot, Template};

/// The checked config. Holds the password of the URL but never shows it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Written")]
pub struct RedisConfig {
    pub(super) target: Target,
    pub(super) password_file: Option<PathBuf>,
    pub(super) tls: TlsConfig,
    pub(super) templates: Templates,
    pub(super) allow_raw_keys: bool,
    pub(super) timeout: Duration,
    in_force: BTreeSet<String>,
}

impl RedisConfig {
    /// The templates as they were written, `slot=template`: a cursor names them, so that new ones are flushed.
    pub(crate) fn templates_in_force(&self) -> &BTreeSet<String> {
        &self.in_force
    }
}

/// Where one server listens, and who we are there; the same where the same was written.
#[derive(Debug, Clone)]
pub(super) struct Target {
    written: Secret,
    pub(super) connection: Box<ConnectionInfo>,
}

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

/// As written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// `redis://[user[:password]@]host[:port][/database]`, `rediss://...` with TLS, or `unix:///path[?db=0]`.
    url: String,
    /// A file with the password, read anew for each connection.
    password_file: Option<PathBuf>,
    /// Whom to trust, and who we are, with TLS.
    #[serde(default)]
    tls: TlsConfig,
    /// The templates of keys.
    keys: WrittenKeys,
    /// Takes templates that begin with neither a literal nor `{site}`, and templates under which
    /// several sites share keys.
    #[serde(default)]
    allow_raw_keys: bool,
    /// Longest wait for a connection and for each reply.
    #[serde(default = "default_timeout", with = "humantime_serde")]
    timeout: Duration,
}

/// `keys = { ... }`: at least one of `url`, `tag` and `key`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenKeys {
    /// The key of a URL.
    url: Option<String>,
    /// A key that goes with its tag.
    tag: Option<String>,
    /// The set of keys that go with its tag.
    tag_set: Option<String>,
    /// A raw key.
    key: Option<String>,
}

fn default_timeout() -> Duration {
    Duration::from_secs(2)
}

/// All mistakes of one cache.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("; "))]
struct Mistakes(Vec<String>);

impl TryFrom<Written> for RedisConfig {
    type Error = Mistakes;

    fn try_from(written: Written) -> Result<Self, Mistakes> {
        let mut mistakes = Vec::new();
        let target = target(&written, &mut mistakes);
        let has_password =
            |target: &Target| target.connection.redis_settings().password().is_some();
        if written.password_file.is_some() && target.as_ref().is_some_and(has_password) {
            mistakes.push("url holds a password beside password_file; remove one".to_owned());
        }
        let templates = templates(&written, &mut mistakes);
        if written.timeout.is_zero() {
            mistakes.push("timeout is zero; give at least 1ms".to_owned());
        }
        match target {
            Some(target) if mistakes.is_empty() => Ok(Self {
                target,
                password_file: written.password_file,
                tls: written.tls,
                templates,
                allow_raw_keys: written.allow_raw_keys,
                timeout: written.timeout,
                in_force: written.keys.in_force(),
            }),
            _ => Err(Mistakes(mistakes)),
        }
    }
}

impl WrittenKeys {
    fn slots(&self) -> impl Iterator<Item = (Slot, &String)> {
        let Self { url, tag, tag_set, key } = self;
        [(Slot::Url, url), (Slot::Tag, tag), (Slot::TagSet, tag_set), (Slot::Key, key)]
            .into_iter()
            .filter_map(|(slot, text)| text.as_ref().map(|text| (slot, text)))
    }

    fn in_force(&self) -> BTreeSet<String> {
        self.slots().map(|(slot, text)| slot.named(text)).collect()
    }
}

/// Where one server listens.
fn target(written: &Written, mistakes: &mut Vec<String>) -> Option<Target> {
    let scheme = written.url.split(':').next().unwrap_or_default();
    if scheme.contains("sentinel") || written.url.contains(',') {
        mistakes.push(
            "url names a Sentinel or several servers, which this driver does not ask; name an address that \
             leads to the primary, such as that of a proxy or a service"
                .to_owned(),
        );
        return None;
    }
    // The library's error shows nothing of the URL, which may hold a password.
    let parsed = written.url.parse::<ConnectionInfo>().map_err(|error| {
        mistakes.push(format!("url is not redis://host:port/database ({error})"));
    });
    let connection = parsed.ok()?;
    let tls = &written.tls;
    match connection.addr() {
        ConnectionAddr::TcpTls { insecure: true, .. } => mistakes.push(
            "url ends in #insecure, so that anybody could answer; remove it, and give tls.ca_file"
                .to_owned(),
        ),
        ConnectionAddr::TcpTls { .. } => {}
        _ if *tls != TlsConfig::default() => {
            mistakes.push("tls is given beside a url without TLS; write rediss://".to_owned());
        }
        _ => {}
    }
    if tls.certificate_file.is_some() != tls.key_file.is_some() {
        mistakes.push(
            "tls.certificate_file and tls.key_file belong together; give both or none".to_owned(),
        );
    }
    Some(Target { written: written.url.as_str().into(), connection: Box::new(connection) })
}

fn templates(written: &Written, mistakes: &mut Vec<String>) -> Templates {
    let WrittenKeys { url, tag, tag_set, key } = &written.keys;
    let mut templates = Templates::new();
    for (slot, text) in written.keys.slots() {
        match Template::parse(slot, text) {
            Err(mistake) => mistakes.push(mistake.to_string()),
            Ok(template) => {
                if !template.has_prefix() && !written.allow_raw_keys {
                    mistakes.push(format!(
                        "{} begins with neither a literal nor {{site}}, so that it could name any key; \
                         put one in front, or set allow_raw_keys = true",
                        slot.as_str()
                    ));
                }
                templates.insert(slot, template);
            }
        }
    }
    if url.is_none() && tag.is_none() && key.is_none() {
        mistakes.push(
            "keys names no content; give at least one of keys.url, keys.tag and keys.key"
                .to_owned(),
        );
    }
    if tag.is_some() && tag == tag_set {
        mistakes.push(
            "keys.tag and keys.tag_set are the same; a set of keys is only keys.tag_set".to_owned(),
        );
    }
    templates
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(config: &str) -> String {
        toml::from_str::<RedisConfig>(config).unwrap_err().message().to_owned()
    }

    #[test]
    fn the_least_config_has_a_timeout() {
        let config: RedisConfig =
            toml::from_str("url = 'redis://localhost'\nkeys.key = '{site}:{key}'").unwrap();
        assert_eq!(config.timeout, Duration::from_secs(2));
    }

    #[test]
    fn no_password_is_shown() {
        let config: RedisConfig =
            toml::from_str("url = 'redis://me:s3cret@localhost'\nkeys.key = 'k:{key}'").unwrap();
        assert!(!format!("{config:?}").contains("s3cret"));
        let wrong = mistake("url = 'http://me:s3cret@localhost'\nkeys.key = 'k:{key}'");
        assert!(wrong.starts_with("url is not redis://") && !wrong.contains("s3cret"), "{wrong}");
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let told = mistake(
            "url = 'http://h'\ntimeout = '0s'\nkeys = { url = '{path}', tag = '{tga}', key = '{site}:{key' }",
        );
        for part in ["url is not", "timeout is zero", "keys.url begins", "{tga}", "unbalanced"] {
            assert!(told.contains(part), "{part} is missing in: {told}");
        }
    }

    #[test]
    fn an_address_that_is_not_one_server_which_proves_who_it_is_is_a_mistake() {
        for (url, expected) in [
            ("redis+sentinel://h:26379/m", "leads to the primary"),
            ("redis://a:1,b:2", "leads to the primary"),
            ("rediss://h/#insecure", "remove it"),
        ] {
            let told = mistake(&format!("url = '{url}'\nkeys.key = 'k:{{key}}'"));
            assert!(told.contains(expected), "{url}: {told}");
        }
        let tls = "url = 'rediss://h'\nkeys.key = 'k:{key}'\ntls = { ca_file = 'ca.pem' }";
        assert!(toml::from_str::<RedisConfig>(tls).is_ok());
    }

    #[test]
    fn templates_that_cannot_be_meant_are_mistakes() {
        for (keys, expected) in [
            ("keys = {}", "keys names no content"),
            ("keys.tag_set = 'tags:{tag}'", "keys names no content"),
            ("keys = { tag = 't:{tag}', tag_set = 't:{tag}' }", "are the same"),
            ("keys.key = '{key}'", "begins with neither a literal nor {site}"),
            ("keys.url = '{host}{path}'", "allow_raw_keys = true"),
            ("keys.urls = 'p:{path}'", "unknown field `urls`"),
            ("password_file = 'f'\nkeys.key = 'k:{key}'", "remove one"),
            ("keys.key = 'k:{key}'\ntls.ca_file = 'ca'", "write rediss://"),
            ("keys.key = 'k:{key}'\ntls.key_file = 'key'", "belong together"),
        ] {
            let told = mistake(&format!("url = 'redis://:pw@h'\n{keys}"));
            assert!(told.contains(expected), "{keys}: {told}");
        }
        let raw = "url = 'redis://h'\nallow_raw_keys = true\nkeys.key = '{key}'";
        assert!(toml::from_str::<RedisConfig>(raw).is_ok());
    }
}
