//! The edge as the driver suite sees it.

use std::sync::Arc;

use agent::driver::Driver;
use agent::driver::conformance::{Address, Object, Specimen};
use async_trait::async_trait;
use reqwest::header::CACHE_CONTROL;
use reqwest::{Method, StatusCode};
use schemas::{Ability, SelectorKind};
use tests::servers::origin::{Origin, Page, VARIANT};

use super::world::{Edge, config, driver_of};

#[derive(Debug)]
pub(crate) struct EdgeSpecimen {
    origin: Origin,
    edge: Edge,
    driver: Arc<dyn Driver>,
}

impl EdgeSpecimen {
    pub(crate) async fn start() -> Self {
        let origin = Origin::start().await;
        let edge = Edge::before(origin.address()).await;
        let driver = driver_of(edge.address());
        Self { origin, edge, driver }
    }

    async fn ask(&self, object: &Object, cache_control: &str) -> StatusCode {
        let mut request = self.edge.request(Method::GET, &url(object));
        if let Some(variant) = object.variant {
            request = request.header(VARIANT, variant);
        }
        request.header(CACHE_CONTROL, cache_control).send().await.unwrap().status()
    }
}

fn url(object: &Object) -> String {
    match &object.address {
        Address::Page(url) => url.to_string()["https://".len()..].to_owned(),
        Address::Key(key) => panic!("an edge holds no key {key}"),
    }
}

#[async_trait]
impl Specimen for EdgeSpecimen {
    fn driver(&self) -> Arc<dyn Driver> {
        self.driver.clone()
    }

    fn ability(&self, kind: SelectorKind) -> Ability {
        match kind {
            SelectorKind::Key => Ability::NotHeld,
            _ => Ability::Supported,
        }
    }

    async fn store(&mut self, object: &Object) {
        let tags = object.tags.iter().map(ToString::to_string).collect();
        let varies = object.variant.is_some();
        self.origin.publish(&url(object), Page { tags, varies, ..Page::default() });
        let status = self.ask(object, "no-cache").await;
        assert_eq!(status, StatusCode::OK, "{object} from the origin");
    }

    async fn holds_fresh(&mut self, object: &Object) -> bool {
        match self.ask(object, "only-if-cached").await {
            StatusCode::OK => true,
            StatusCode::GATEWAY_TIMEOUT => false,
            other => panic!("{object}: {other}"),
        }
    }

    fn has_variants(&self) -> bool {
        true
    }

    async fn stop(&mut self) {
        self.edge.stop().await;
    }

    async fn start(&mut self) {
        let mut config = config(self.origin.address());
        config.listen = self.edge.address();
        self.edge = Edge::start(config).await;
    }
}
