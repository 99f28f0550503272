//! `purgebus check --connect`: what it says of a bus that works, and of each that does not.

use std::net::SocketAddr;

use async_nats::jetstream::stream;
use serde_json::Value;
use tests::authority::Authority;
use tests::process::purgebus;
use tests::servers::free_port;
use tests::servers::kafka::Kafka;
use tests::servers::nats::{NEWEST, Nats};
use tests::servers::origin::Origin;
use tests::servers::varnish::Varnish;
use tests::town::Edge;

const SITE: &str = "[[site]]\nhosts = [\"www.example.com\"]\n";
/// Users of a NATS server: one who may do all, one who may read but not publish to the logs.
const USERS: &str = r#"
authorization {
  users = [
    { user: "all", password: "right" }
    { user: "reader", password: "right", permissions: { publish: { deny: ["*.critical.*", "*.normal.*"] } } }
    { user: "nobody", password: "right", permissions: { publish: "nothing", subscribe: "_INBOX.>" } }
  ]
}
"#;

/// What was said, as a document, and the exit code.
struct Checked {
    code: Option<i32>,
    told: Value,
}

impl Checked {
    /// Of the configuration with this `[broker]` and the parts of a role.
    async fn of(broker: &str, parts: &str) -> Self {
        let folder = tempfile::tempdir().expect("a fresh folder");
        let file = folder.path().join("purgebus.toml");
        std::fs::write(&file, format!("{broker}\n{SITE}{parts}")).expect("written");
        let mut command = purgebus();
        command.args(["check", "--connect", "--json", "-c"]).arg(&file).current_dir(&folder);
        let running = tokio::task::spawn_blocking(move || command.output());
        let output = running.await.expect("no panic").expect("it runs");
        let told = serde_json::from_slice(&output.stdout);
        let told = told.unwrap_or_else(|error| panic!("{error}: {output:?}"));
        Self { code: output.status.code(), told }
    }

    /// Cause and fix of what failed with a name that begins so.
    fn failure(&self, what: &str) -> String {
        let trials = self.told["trials"].as_array().expect("trials").iter();
        let mut failed = trials.filter(|trial| trial["result"] == "failed");
        let found =
            failed.find(|trial| trial["what"].as_str().is_some_and(|it| it.starts_with(what)));
        let found = found.unwrap_or_else(|| panic!("{what} has not failed: {:#}", self.told));
        format!("{} -> {}", found["cause"].as_str().expect("text"), found["fix"])
    }

    /// How many have each result: ok, failed, not tried.
    fn counts(&self) -> [usize; 3] {
        let trials = self.told["trials"].as_array().expect("trials");
        ["ok", "failed", "not_tried"]
            .map(|result| trials.iter().filter(|trial| trial["result"] == result).count())
    }

    fn is_fine(&self) -> bool {
        self.code == Some(0) && self.counts()[1..] == [0, 0]
    }
}

fn publisher() -> &'static str {
    "[publisher]\njournal = \"journal\"\nunsigned = true\n"
}

fn agent(cache: SocketAddr) -> String {
    format!(
        "[agent]\nstate = \"state\"\naccept_unsigned = true\n[[agent.cache]]\nname = \"edge\"\ndriver = \"edge\"\nurl = \"http://{cache}\"\n"
    )
}

fn nats(url: &str, more: &str) -> String {
    format!("[broker]\nkind = \"nats\"\nurls = [\"{url}\"]\n{more}")
}

fn user(url: &str, name: &str, password: &str) -> String {
    nats(url, &format!("user = \"{name}\"\npassword = \"{password}\"\n"))
}

fn closed_port() -> SocketAddr {
    ([127, 0, 0, 1], free_port()).into()
}

#[tokio::test]
async fn a_bus_that_works_is_fine_for_both_roles() {
    let (server, origin) = (Nats::start().await, Origin::start().await);
    let edge = Edge::start(origin.address()).await;
    let broker = nats(&server.url(), "partitions = 2\n");
    let checked = Checked::of(&broker, publisher()).await;
    assert!(checked.is_fine() && checked.counts()[0] == 5, "{:#}", checked.told);
    let checked = Checked::of(&broker, &agent(edge.address())).await;
    assert!(checked.is_fine() && checked.counts()[0] == 6, "{:#}", checked.told);
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let broker = nats(&format!("nats://{}", closed_port()), "");
    let checked = Checked::of(&broker, &agent(closed_port())).await;
    assert_eq!((checked.code, checked.counts()), (Some(1), [0, 2, 4]), "{:#}", checked.told);
    let broker = checked.failure("broker nats");
    assert!(broker.contains("Connection refused") && broker.contains("correct `urls`"), "{broker}");
    let cache = checked.failure("cache edge");
    assert!(cache.contains("cannot connect") && cache.contains("correct `url`"), "{cache}");
}

#[tokio::test]
async fn who_is_not_known_or_may_not_is_told_so() {
    let server = Nats::start_with(NEWEST, USERS).await;
    let checked = Checked::of(&user(&server.url(), "all", "right"), publisher()).await;
    assert!(checked.is_fine(), "{:#}", checked.told);

    let checked = Checked::of(&user(&server.url(), "all", "wrong"), publisher()).await;
    let failure = checked.failure("broker nats");
    assert!(failure.contains("does not take these credentials"), "{failure}");
    assert!(failure.contains("`password_file`") && !failure.contains("wrong"), "{failure}");

    let checked = Checked::of(&user(&server.url(), "reader", "right"), publisher()).await;
    assert_eq!((checked.code, checked.counts()), (Some(1), [3, 2, 0]), "{:#}", checked.told);
    for topic in ["topic critical", "topic normal"] {
        let failure = checked.failure(topic);
        assert!(failure.contains("no permission at NATS"), "{failure}");
        assert!(failure.contains("read it and publish to it"), "{failure}");
    }
    let checked = Checked::of(&user(&server.url(), "nobody", "right"), publisher()).await;
    assert_eq!((checked.code, checked.counts()[0]), (Some(1), 1), "{:#}", checked.told);
}

#[tokio::test]
async fn tls_that_does_not_fit_is_told() {
    let authority = Authority::new();
    let identity = authority.issue("nats");
    let config = format!(
        "tls {{ cert_file: {:?}, key_file: {:?} }}\n",
        identity.certificate_file, identity.key_file
    );
    let (encrypted, plain) = (Nats::start_with(NEWEST, &config).await, Nats::start().await);
    let trusting = format!("tls.ca_file = {:?}\n", authority.ca_file());
    let checked = Checked::of(&nats(&encrypted.url(), &trusting), publisher()).await;
    assert!(checked.is_fine(), "{:#}", checked.told);
    for (broker, said) in [
        (nats(&encrypted.url(), ""), "UnknownIssuer"),
        (nats(&plain.url(), &trusting), "does not speak it"),
    ] {
        let checked = Checked::of(&broker, publisher()).await;
        let failure = checked.failure("broker nats");
        assert!(failure.contains(said) && failure.contains("[broker.tls]"), "{failure}");
        assert_eq!(checked.counts()[2], 4, "{:#}", checked.told);
    }
}

#[tokio::test]
async fn a_stream_that_differs_is_told_with_the_field() {
    let server = Nats::start().await;
    let config = stream::Config {
        name: "purgebus-normal".to_owned(),
        subjects: vec!["purgebus.normal.*".to_owned()],
        storage: stream::StorageType::Memory,
        ..stream::Config::default()
    };
    server.admin().await.create_stream(config).await.expect("a stream of somebody else's");
    let checked = Checked::of(&nats(&server.url(), ""), publisher()).await;
    assert_eq!(checked.counts(), [4, 1, 0], "{:#}", checked.told);
    let failure = checked.failure("topic normal");
    assert!(failure.contains("storage = memory, but file is needed"), "{failure}");
}

#[tokio::test]
async fn a_cache_that_refuses_is_told() {
    let (server, origin) = (Nats::start().await, Origin::start().await);
    let refusing = "sub vcl_recv { if (req.method == \"PURGE\") { return (synth(403)); } }\n";
    let varnish = Varnish::start(origin.address(), refusing).await;
    let parts = agent(varnish.address()).replace("\"edge\"", "\"varnish\"");
    let checked = Checked::of(&nats(&server.url(), ""), &parts).await;
    assert_eq!((checked.code, checked.counts()), (Some(1), [5, 1, 0]), "{:#}", checked.told);
    let failure = checked.failure("cache varnish");
    assert!(failure.contains("403"), "{failure}");
}

#[tokio::test]
async fn kafka_is_tried_too() {
    let kafka = Kafka::shared().await;
    let broker = |address: &str, more: &str| {
        format!(
            "[broker]\nkind = \"kafka\"\nbrokers = [\"{address}\"]\nprefix = \"check-{more}\"\n"
        )
    };
    let checked = Checked::of(&broker(&kafka.address(), "good"), publisher()).await;
    assert!(checked.is_fine() && checked.counts()[0] == 5, "{:#}", checked.told);
    let nobody = closed_port().to_string();
    let checked = Checked::of(&broker(&nobody, "bad"), publisher()).await;
    let failure = checked.failure("broker kafka");
    assert!(failure.contains("refused") && failure.contains("correct `brokers`"), "{failure}");
}
