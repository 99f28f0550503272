//! The driver as the suite sees it.

use std::fs;
use std::sync::Arc;

use agent::driver::Driver;
use agent::driver::conformance::{self, Address, Object};
use async_trait::async_trait;
use redis::{cmd, pipe};
use schemas::{Ability, SelectorKind, Url};
use tempfile::TempDir;
use tests::servers::redis::Redis;

use crate::book;

/// What the cache is said to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// The book's templates.
    PagesAndKeys,
    /// Only its template of raw keys.
    Keys,
}

#[derive(Debug)]
pub(crate) struct Specimen {
    redis: Redis,
    driver: Arc<dyn Driver>,
    held: Held,
    _password: TempDir,
}

impl Specimen {
    pub(crate) async fn start(held: Held) -> Self {
        let redis = Redis::start().await;
        let folder = tempfile::tempdir().unwrap();
        let password_file = folder.path().join("password");
        fs::write(&password_file, format!("{}\n", book::PASSWORD)).unwrap();
        let mut config = book::config(redis.address(), &password_file);
        if held == Held::Keys {
            config["keys"].as_table_mut().unwrap().retain(|name, _| name == "key");
        }
        let driver = crate::open(&config.to_string());
        let specimen = Self { redis, driver, held, _password: folder };
        specimen.authorise().await;
        specimen
    }

    async fn authorise(&self) {
        let mut admin = self.redis.connect().await;
        book::least_privilege().exec_async(&mut admin).await.unwrap();
    }
}

fn page_key(Url { host, path, query, .. }: &Url) -> String {
    match query {
        Some(query) => format!("page:{host}{path}?{query}"),
        None => format!("page:{host}{path}"),
    }
}

fn name(object: &Object) -> String {
    match &object.address {
        Address::Page(url) => page_key(url),
        Address::Key(key) => format!("{}:{key}", object.site),
    }
}

#[async_trait]
impl conformance::Specimen for Specimen {
    fn driver(&self) -> Arc<dyn Driver> {
        self.driver.clone()
    }

    fn ability(&self, kind: SelectorKind) -> Ability {
        match kind {
            SelectorKind::Key | SelectorKind::Everything => Ability::Supported,
            _ if self.held == Held::Keys => Ability::NotHeld,
            SelectorKind::Url | SelectorKind::Tag => Ability::Supported,
            SelectorKind::UrlAnyQuery | SelectorKind::Prefix => Ability::Unsupported,
        }
    }

    async fn store(&mut self, object: &Object) {
        let key = name(object);
        let mut transaction = pipe();
        transaction.atomic().cmd("SET").arg(&key).arg("content").ignore();
        for tag in &object.tags {
            let set = format!("tags:{}:{tag}", object.site);
            transaction.cmd("SADD").arg(set).arg(&key).ignore();
        }
        transaction.exec_async(&mut self.redis.connect().await).await.unwrap();
    }

    async fn holds_fresh(&mut self, object: &Object) -> bool {
        let mut admin = self.redis.connect().await;
        cmd("EXISTS").arg(name(object)).query_async(&mut admin).await.unwrap()
    }

    async fn stop(&mut self) {
        self.redis.stop().await;
    }

    async fn start(&mut self) {
        self.redis.restart().await;
        self.authorise().await;
    }

    async fn refuse(&mut self, refuse: bool) -> bool {
        let rule = if refuse { "-unlink" } else { "+unlink" };
        let mut admin = self.redis.connect().await;
        let mut rights = cmd("ACL");
        rights.arg("SETUSER").arg("purgebus").arg(rule);
        rights.exec_async(&mut admin).await.unwrap();
        true
    }
}
