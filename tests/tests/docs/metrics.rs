//! The table of metrics in the docs against `/metrics` of a running `serve`, and against the source.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use tests::book::{Page, project, purgebus};
use tokio::time::{Instant, sleep};

/// Longest time for `serve` to show its metrics.
const PATIENCE: Duration = Duration::from_secs(30);

/// The name of each metric in the docs, as its family is called.
fn documented() -> BTreeSet<String> {
    let rows = Page::read(Path::new("docs/operations.md")).rows_under("Metrics");
    let names = rows.iter().map(|row| {
        let name = row[0].split('{').next().unwrap_or_default();
        name.strip_suffix("_total").unwrap_or(name).to_owned()
    });
    names.collect()
}

#[tokio::test]
async fn every_metric_shown_by_serve_is_in_the_docs_and_shown_once() {
    let text = metrics_of_serve().await;
    let families: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let documented = documented();
    assert!(families.len() > 5, "{text}");
    for (at, family) in families.iter().enumerate() {
        assert!(documented.contains(*family), "{family} is not in docs/operations.md");
        assert!(!families[..at].contains(family), "{family} is shown twice:\n{text}");
    }
}

#[test]
fn every_metric_in_the_docs_is_in_the_source() {
    let names = registered();
    for family in documented() {
        let short = family.strip_prefix("purgebus_").expect("the prefix of all of them");
        assert!(names.contains(&family) || names.contains(short), "{family} is registered nowhere");
    }
}

/// Every text in the files that register metrics.
fn registered() -> BTreeSet<String> {
    let files = ["agent/src/metrics.rs", "daemon/src/health.rs", "publisher/src/metrics.rs"];
    let files = files.into_iter().chain(["publisher/src/tracker/metrics.rs"]);
    let files = files.chain(["daemon/src/http/metrics.rs", "daemon/src/tls/expiry.rs"]);
    let files =
        files.chain(["broker-adapter/src/nats/events.rs", "publisher/src/audit/metrics.rs"]);
    let sources = files.map(|file| fs::read_to_string(project().join(file)).expect("a source"));
    // By lines: a quote that is a character of its own spoils only its line.
    let texts =
        |line: &str| line.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    sources.flat_map(|source| source.lines().flat_map(texts).collect::<Vec<_>>()).collect()
}

/// What Prometheus gets from a `serve` whose only cache is not there, once all of its parts run.
async fn metrics_of_serve() -> String {
    let folder = tempfile::tempdir().expect("a fresh folder");
    let config = "[publisher]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\njournal = \"journal\"\n\
                  [agent]\nadmin = \"127.0.0.1:0\"\nstate = \"state\"\n\
                  [[site]]\nhosts = [\"www.example.com\"]\n\
                  [[agent.cache]]\nname = \"edge\"\ndriver = \"edge\"\nurl = \"http://127.0.0.1:1\"\n";
    fs::write(folder.path().join("purgebus.toml"), config).expect("written");
    let serve = Serve::start(folder.path());
    let wish = "{\"urls\": [\"http://www.example.com/\"]}";
    let post = reqwest::Client::new()
        .post(format!("{}/v1/invalidations", serve.api))
        .header("content-type", "application/json")
        .body(wish);
    let accepted = post.send().await.expect("an answer");
    assert_eq!(accepted.status().as_u16(), 202);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let page = reqwest::get(format!("{}/metrics", serve.admin)).await.expect("an answer");
        let text = page.text().await.expect("text");
        if text.contains("purgebus_lag_numbers") {
            return text;
        }
        assert!(Instant::now() < deadline, "the agent shows nothing: {text}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// A running `serve`, on ports of its own choice.
struct Serve {
    child: Child,
    /// Held, for nobody can log into a closed pipe.
    log: Lines<BufReader<ChildStderr>>,
    api: String,
    admin: String,
}

impl Serve {
    fn start(folder: &Path) -> Self {
        let mut command = Command::new(purgebus());
        command.args(["serve", "-c", "purgebus.toml"]).current_dir(folder).env_clear();
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let stderr = child.stderr.take().expect("it is piped");
        let log = BufReader::new(stderr).lines();
        let mut serve = Self { child, log, api: String::new(), admin: String::new() };
        while serve.api.is_empty() || serve.admin.is_empty() {
            let line = serve.log.next().expect("it tells where it listens").expect("text");
            match line.split_once(" listens on ") {
                Some(("api", url)) => url.clone_into(&mut serve.api),
                Some(("admin", url)) => url.clone_into(&mut serve.admin),
                _ => {}
            }
        }
        serve
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        // That it has ended already is told by what was asked of it.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
