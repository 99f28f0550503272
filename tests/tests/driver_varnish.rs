//! The Varnish driver on a real varnishd: the suite in both manners, and everything that looks like a purge but is none.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agent::driver::conformance::{self, Address, Object, Specimen};
use agent::driver::varnish::{Varnish as VarnishDriver, VarnishConfig};
use agent::driver::{Batch, Driver, Endpoint, Purge, PurgeError, Surroundings};
use async_trait::async_trait;
use axum::http::{Method, StatusCode};
use reqwest::Response;
use schemas::{Ability, Mode, Selector, SelectorKind};
use tempfile::TempDir;
use tests::servers::origin::{Origin, Page, VARIANT, VERSION};
use tests::servers::varnish::{Varnish, shipped_vcl};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(5);

/// A VCL that purges by URL, as most have it.
const PLAIN: &str = r#"
sub vcl_recv { if (req.method == "PURGE") { return (purge); } }
"#;

/// Tells what is fresh without fetching it; refuses purges while a file exists.
const PEEK: &str = r#"
import std;
sub vcl_recv {
    if (req.method == "PURGE" && std.file_exists("REFUSE")) { return (synth(403)); }
}
sub vcl_hit { if (req.http.x-peek && obj.ttl <= 0s) { return (synth(504)); } }
sub vcl_miss { if (req.http.x-peek) { return (synth(504)); } }
"#;

fn include_shipped() -> String {
    format!("include \"{}\";\n", shipped_vcl().canonicalize().expect("it is shipped").display())
}

/// An origin, a Varnish in front of it, and the driver.
#[derive(Debug)]
struct House {
    origin: Origin,
    varnish: Varnish,
    driver: Arc<dyn Driver>,
    client: reqwest::Client,
    shipped: bool,
    folder: TempDir,
}

impl House {
    async fn with(vcl: &str) -> Self {
        let origin = Origin::start().await;
        let folder = tempfile::tempdir().unwrap();
        let refuse = folder.path().join("refuse").display().to_string();
        let vcl_text = PEEK.replace("REFUSE", &refuse) + vcl;
        let varnish = Varnish::start(origin.address(), &vcl_text).await;
        let driver = driver(&format!("http://{}", varnish.address()));
        let client = reqwest::Client::builder().http1_only().build().unwrap();
        Self { origin, varnish, driver, client, shipped: vcl.contains("include"), folder }
    }

    async fn get(&self, host: &str, path: &str, headers: &[(&str, &str)]) -> Response {
        self.send(Method::GET, host, path, headers).await
    }

    async fn send(
        &self,
        method: Method,
        host: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Response {
        let url = format!("http://{}{path}", self.varnish.address());
        let mut request = self.client.request(method, url).header("host", host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    /// Publishes a new version of a page of `www.example.com` and caches it.
    async fn cached(&self, path: &str, page: Page) {
        self.origin.publish(&format!("www.example.com{path}"), page);
        self.get("www.example.com", path, &[]).await;
        assert!(self.holds(path).await, "{path} is not cacheable");
    }

    async fn holds(&self, path: &str) -> bool {
        self.get("www.example.com", path, &[("x-peek", "1")]).await.status() != 504
    }

    async fn purge(&self, selectors: impl IntoIterator<Item = Selector>) -> Result<(), PurgeError> {
        let purge = |selector| Purge { site: "main".parse().unwrap(), selector, mode: Mode::Hard };
        self.driver.purge(&Batch { purges: selectors.into_iter().map(purge).collect() }).await
    }
}

fn driver(url: &str) -> Arc<dyn Driver> {
    let config = VarnishConfig {
        url: Endpoint::try_from(url.to_owned()).unwrap(),
        timeout: Duration::from_secs(5),
    };
    Arc::new(VarnishDriver::new(
        &config,
        &Surroundings {
            sites: conformance::sites(),
            region: "local".parse().unwrap(),
            cache: "varnish".parse().unwrap(),
            instance: Uuid::nil(),
        },
    ))
}

fn url(path: &str) -> Selector {
    let url: schemas::Url = format!("https://www.example.com{path}").parse().unwrap();
    Selector::Url {
        scheme: url.scheme,
        host: url.host,
        path: url.path,
        query: schemas::QueryMatch::Exact(url.query),
    }
}

fn tag(tag: &str) -> Selector {
    Selector::Tag(tag.parse().unwrap())
}

/// The error and what caused it, and whether waiting may help.
fn told(outcome: Result<impl std::fmt::Debug, PurgeError>) -> (bool, String) {
    let error = outcome.expect_err("it must not count as purged");
    let unavailable = matches!(error, PurgeError::Unavailable { .. });
    (unavailable, error.source().expect("a cause").to_string())
}

#[async_trait]
impl Specimen for House {
    fn driver(&self) -> Arc<dyn Driver> {
        self.driver.clone()
    }

    fn ability(&self, kind: SelectorKind) -> Ability {
        match kind {
            SelectorKind::Key => Ability::NotHeld,
            SelectorKind::Url => Ability::Supported,
            _ if self.shipped => Ability::Supported,
            _ => Ability::Unsupported,
        }
    }

    async fn store(&mut self, object: &Object) {
        let (host, path) = place(object);
        let page = Page {
            tags: object.tags.iter().map(ToString::to_string).collect(),
            varies: object.variant.is_some(),
            ..Page::default()
        };
        self.origin.publish(&format!("{host}{path}"), page);
        let variant = (VARIANT, object.variant.unwrap_or("none"));
        self.get(&host, &path, &[variant]).await;
        // Where a soft purge left a stale object, it is answered once more while it is fetched.
        let deadline = Instant::now() + PATIENCE;
        while !self.holds_fresh(object).await {
            assert!(Instant::now() < deadline, "{object} is not cacheable");
            sleep(POLL).await;
        }
    }

    async fn holds_fresh(&mut self, object: &Object) -> bool {
        let (host, path) = place(object);
        let variant = (VARIANT, object.variant.unwrap_or("none"));
        self.get(&host, &path, &[variant, ("x-peek", "1")]).await.status() != 504
    }

    fn has_variants(&self) -> bool {
        true
    }

    async fn stop(&mut self) {
        self.varnish.stop().await;
    }

    async fn start(&mut self) {
        self.varnish.restart().await;
    }

    async fn refuse(&mut self, refuse: bool) -> bool {
        let file: PathBuf = self.folder.path().join("refuse");
        if refuse {
            fs::write(file, "").unwrap()
        } else {
            fs::remove_file(file).unwrap()
        }
        true
    }
}

fn place(object: &Object) -> (String, String) {
    let Address::Page(url) = &object.address else { panic!("{object} is not held by Varnish") };
    let query = url.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    (url.host.to_string(), format!("{}{query}", url.path))
}

#[tokio::test]
async fn the_suite_holds_with_the_shipped_vcl() {
    conformance::run(&mut House::with(&include_shipped()).await).await;
}

#[tokio::test]
async fn the_suite_holds_with_a_vcl_that_purges_urls() {
    conformance::run(&mut House::with(PLAIN).await).await;
}

#[tokio::test]
async fn it_says_how_the_cache_is_purged() {
    for (vcl, cacheable, manner) in [
        (include_shipped(), false, "xkey"),
        (PLAIN.to_owned(), true, "plain PURGE"),
        (PLAIN.to_owned(), false, "plain PURGE, unproven: the probe object cannot be cached"),
    ] {
        let house = House::with(&vcl).await;
        if !cacheable {
            house.origin.publish_others(Page { cache_control: "no-store", ..Page::default() });
        }
        assert_eq!(house.driver.abilities().await.unwrap().manner, manner);
    }
}

#[tokio::test]
async fn a_vcl_that_hands_purges_to_the_origin_is_found_out() {
    let pass = "sub vcl_recv { if (req.method == \"PURGE\") { return (pass); } }";
    for vcl in ["", pass] {
        for (status, cacheable) in
            [(200, true), (404, true), (204, true), (200, false), (404, false)]
        {
            let house = House::with(vcl).await;
            house.origin.answer_purges(StatusCode::from_u16(status).unwrap());
            if !cacheable {
                house.origin.publish_others(Page { cache_control: "no-store", ..Page::default() });
            }
            house.cached("/a", Page::default()).await;
            for outcome in [
                house.driver.abilities().await.map(|_| ()),
                house.purge([url("/a")]).await,
                house.driver.probe().await,
            ] {
                let (unavailable, words) = told(outcome);
                assert!(unavailable, "{words}");
                assert!(words.starts_with("your VCL passes PURGE to the origin"), "{words}");
                assert!(words.contains("include \"purgebus.vcl\""), "{words}");
            }
            assert!(house.holds("/a").await);
        }
    }
}

#[tokio::test]
async fn whoever_is_not_allowed_purges_nothing() {
    let shipped = fs::read_to_string(shipped_vcl()).unwrap();
    let elsewhere = shipped.replace("\"127.0.0.0\"/8", "\"192.0.2.0\"/24");
    assert_ne!(shipped, elsewhere);
    let house = House::with(&elsewhere.replace("vcl 4.1;", "")).await;
    house.cached("/a", Page::default()).await;
    for outcome in [
        house.driver.abilities().await.map(|_| ()),
        house.purge([url("/a")]).await,
        house.driver.probe().await,
    ] {
        assert_eq!(told(outcome), (false, "answered 403".to_owned()));
    }
    assert!(house.holds("/a").await);
}

#[tokio::test]
async fn a_client_behind_a_local_proxy_is_not_local() {
    let house = House::with(&include_shipped()).await;
    house.cached("/a", Page::default()).await;
    let purge = Method::from_bytes(b"PURGE").unwrap();
    let keys = ("x-purgebus-hard", "s:www.example.com");
    for proxied in [
        ("x-forwarded-for", "203.0.113.9"),
        ("via", "1.1 front"),
        ("forwarded", "for=203.0.113.9"),
        ("x-real-ip", "203.0.113.9"),
    ] {
        let answer = house.send(purge.clone(), "www.example.com", "/", &[keys, proxied]).await;
        assert_eq!(answer.status(), 403, "{proxied:?}");
    }
    assert!(house.holds("/a").await);
    assert_eq!(house.send(purge, "www.example.com", "/", &[keys]).await.status(), 200);
    assert!(!house.holds("/a").await);
}

#[tokio::test]
async fn a_thousand_urls_go_in_one_batch() {
    for vcl in [include_shipped(), PLAIN.to_owned()] {
        let house = House::with(&vcl).await;
        let paths =
            (0..1_000).map(|at| format!("/page/{at}?x={}", "y".repeat(100))).collect::<Vec<_>>();
        for path in &paths {
            house.cached(path, Page::default()).await;
        }
        house.cached("/bystander", Page::default()).await;
        house.purge(paths.iter().map(|path| url(path))).await.unwrap();
        for path in &paths {
            assert!(!house.holds(path).await, "{path} is still there");
        }
        assert!(house.holds("/bystander").await);
    }
}

#[tokio::test]
async fn a_prefix_below_the_keys_takes_all_it_names_and_more() {
    let house = House::with(&include_shipped()).await;
    for path in ["/1/2/3/4/5/6/7/8/9/10/a", "/1/2/3/4/5/6/7/8/b", "/1/2/3/4/5/6/7/c"] {
        house.cached(path, Page::default()).await;
    }
    let prefix = Selector::Prefix {
        host: "www.example.com".parse().unwrap(),
        path: "/1/2/3/4/5/6/7/8/9/10".parse().unwrap(),
    };
    house.purge([prefix]).await.unwrap();
    assert!(!house.holds("/1/2/3/4/5/6/7/8/9/10/a").await);
    assert!(!house.holds("/1/2/3/4/5/6/7/8/b").await, "purged at the depth of the keys");
    assert!(house.holds("/1/2/3/4/5/6/7/c").await);
}

#[tokio::test]
async fn every_spelling_of_a_url_goes_with_its_canonical_one() {
    let house = House::with(&include_shipped()).await;
    let clients = ["/%7euser/%d0%bf%2f", "/~user/%D0%BF%2F", "/%7Euser/%d0%Bf%2F"];
    for path in clients {
        house.cached(path, Page::default()).await;
    }
    house.cached("/~user/%D0%BF/", Page::default()).await;
    house.purge([url("/~user/%d0%bf%2f")]).await.unwrap();
    for path in clients {
        assert!(!house.holds(path).await, "{path} is still there");
    }
    assert!(house.holds("/~user/%D0%BF/").await, "an encoded slash is no slash");
}

#[tokio::test]
async fn every_spelling_of_a_host_goes_with_its_canonical_one() {
    let house = House::with(&include_shipped()).await;
    for host in ["WWW.Example.com", "www.example.com:80", "www.example.com:443", "www.example.com."]
    {
        house.origin.publish(&format!("{host}/a"), Page::default());
        house.get(host, "/a", &[]).await;
        house.purge([url("/a")]).await.unwrap();
        assert_eq!(house.get(host, "/a", &[("x-peek", "1")]).await.status(), 504, "{host}");
    }
}

#[tokio::test]
async fn an_origin_cannot_choose_keys_of_another_site() {
    let house = House::with(&include_shipped()).await;
    let forged = "s:www.example.net t:www.example.net/t u:www.example.net/a";
    let forging = Page {
        headers: vec![("xkey", forged.to_owned()), ("x-hashtwo", forged.to_owned())],
        tags: forged.split(' ').map(str::to_owned).collect(),
        ..Page::default()
    };
    house.cached("/forging", forging).await;
    house.cached("/a,s:www.example.net,b", Page::default()).await;
    let other = |selector| Purge { site: "other".parse().unwrap(), selector, mode: Mode::Hard };
    let purges = vec![other(Selector::Everything), other(tag("t"))];
    house.driver.purge(&Batch { purges }).await.unwrap();
    assert!(house.holds("/forging").await);
    assert!(house.holds("/a,s:www.example.net,b").await);
}

#[tokio::test]
async fn a_client_cannot_purge_or_probe_by_headers_and_sees_no_keys() {
    let house = House::with(&include_shipped()).await;
    house.cached("/a", Page { tags: vec!["t".into()], ..Page::default() }).await;
    for (name, value) in [
        ("x-purgebus-hard", "s:www.example.com"),
        ("x-purgebus-soft", "s:www.example.com"),
        ("x-purgebus-count", "1"),
        ("x-purgebus-probe", "1"),
        ("x-purgebus", "probe"),
        ("xkey", "s:www.example.com"),
    ] {
        let answer = house.get("www.example.com", "/a", &[(name, value)]).await;
        assert_eq!(answer.headers()[VERSION], "1", "{name}");
        let names = answer.headers().keys().map(ToString::to_string).collect::<Vec<_>>();
        for inner in ["xkey", "surrogate-key", "x-purgebus", "x-purgebus-count"] {
            assert!(!names.iter().any(|name| name == inner), "{inner} was delivered");
        }
        assert!(house.holds("/a").await, "{name} purged");
    }
    let miss = house.get("www.example.com", "/new", &[("x-purgebus-probe", "1")]).await;
    assert_eq!(miss.status(), 404, "the origin answers, not the probe");
}

#[tokio::test]
async fn tags_survive_a_revalidation() {
    let brief = "sub vcl_backend_response { if (bereq.http.x-brief) { set beresp.ttl = 0.01s; set beresp.grace = 0s; set beresp.keep = 1h; } }";
    let house = House::with(&(include_shipped() + brief)).await;
    house.origin.publish("www.example.com/a", Page { tags: vec!["t".into()], ..Page::default() });
    house.get("www.example.com", "/a", &[("x-brief", "1")]).await;
    until(async || !house.holds("/a").await).await;
    let revalidated = house.get("www.example.com", "/a", &[]).await;
    assert_eq!(
        (revalidated.status(), &revalidated.headers()[VERSION]),
        (StatusCode::OK, &"1".parse().unwrap())
    );
    assert!(house.holds("/a").await);
    house.purge([tag("t")]).await.unwrap();
    assert!(!house.holds("/a").await, "its tags were lost");
}

#[tokio::test]
async fn an_object_stored_before_our_vcl_was_loaded_is_not_served() {
    let house = House::with(PLAIN).await;
    house.cached("/a", Page { headers: vec![("xkey", "own".into())], ..Page::default() }).await;
    house.varnish.load(&(PEEK.to_owned() + &include_shipped()));
    house.origin.publish("www.example.com/a", Page::default());
    assert_eq!(house.get("www.example.com", "/a", &[]).await.headers()[VERSION], "2");
}

/// Polls until it is so.
async fn until(so: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so().await {
        assert!(Instant::now() < deadline, "it never became so");
        sleep(POLL).await;
    }
}

#[tokio::test]
async fn what_has_no_room_for_its_keys_is_delivered_but_not_kept() {
    let house = House::with(&include_shipped()).await;
    let many = Page { tags: (0..501).map(|at| format!("t{at}")).collect(), ..Page::default() };
    house.origin.publish("www.example.com/many", many);
    assert_eq!(house.get("www.example.com", "/many", &[]).await.status(), 200);
    assert!(!house.holds("/many").await);
    let most = Page { tags: (0..500).map(|at| format!("t{at}")).collect(), ..Page::default() };
    house.cached("/most", most).await;
    house.purge([tag("t499")]).await.unwrap();
    assert!(!house.holds("/most").await);
}

#[tokio::test]
async fn no_address_makes_an_answer_fail() {
    let house = House::with(&include_shipped()).await;
    for unit in ["%", "%7e", "%aa", ",", "{", "`{^}<,", "%%%,", "x"] {
        for times in [1, 2_000, 7_900].map(|bytes| bytes / unit.len()) {
            for path in [
                format!("/1/2/3/4/5/6/7/8/{}", unit.repeat(times)),
                format!("/{}/2/3/4/5/6/7/8/9?{}", unit.repeat(times / 2), unit.repeat(times / 2)),
            ] {
                let answer = raw(&house, &path).await;
                let status = answer.split(' ').nth(1);
                assert!(matches!(status, Some("404" | "400")), "{path}: {answer}");
            }
        }
    }
}

/// The answer to a GET of exactly these bytes, which no client library would send.
async fn raw(house: &House, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(house.varnish.address()).await.unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_vcl_that_loses_its_keys_is_noticed() {
    let house = House::with(&include_shipped()).await;
    house.purge([tag("t")]).await.unwrap();
    house.varnish.load(PLAIN);
    let (unavailable, words) = told(house.purge([tag("t")]).await);
    assert!(unavailable && words.contains("has changed"), "{words}");
    assert_eq!(house.driver.abilities().await.unwrap().tag, Ability::Unsupported);
}
