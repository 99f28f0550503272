//! The table of metrics in the docs against `/metrics` of a running `serve`, and against the source.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
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
    let sources = files.map(|file| fs::read_to_string(project().join(file)).expect("a source"));
    let texts = sources.flat_map(|source| {
        source.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
    });
    texts.collect()
}

/// What Prometheus gets from a `serve` whose only cache is not there, once all of its parts run.
async fn metrics_of_serve() -> String {
    let folder = tempfile::tempdir().expect("a fresh folder");
    let [api, admin] = free_ports();
    let config = format!(
        "[publisher]\nlisten = \"{api}\"\nadmin = \"{admin}\"\njournal = \"journal\"\n\
         [agent]\nadmin = \"{admin}\"\nstate = \"state\"\n\
         [[site]]\nhosts = [\"www.example.com\"]\n\
         [[agent.cache]]\nname = \"edge\"\ndriver = \"edge\"\nurl = \"http://127.0.0.1:1\"\n"
    );
    fs::write(folder.path().join("purgebus.toml"), config).expect("written");
    let _serve = Serve::start(folder.path().to_owned());
    let wish = "{\"urls\": [\"http://www.example.com/\"]}";
    let post = reqwest::Client::new()
        .post(format!("http://{api}/v1/invalidations"))
        .header("content-type", "application/json")
        .body(wish);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let accepted = post.try_clone().expect("no stream").send().await;
        let page = reqwest::get(format!("http://{admin}/metrics")).await;
        if let (Ok(accepted), Ok(page)) = (accepted, page) {
            assert_eq!(accepted.status().as_u16(), 202);
            let text = page.text().await.expect("text");
            if text.contains("purgebus_lag_numbers") && text.contains("purgebus_published") {
                return text;
            }
        }
        assert!(Instant::now() < deadline, "serve shows no metrics");
        sleep(Duration::from_millis(50)).await;
    }
}

fn free_ports() -> [String; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("bound").to_string())
}

struct Serve(Child);

impl Serve {
    fn start(folder: PathBuf) -> Self {
        let mut command = Command::new(purgebus());
        command.args(["serve", "-c", "purgebus.toml"]).current_dir(folder).env_clear();
        command.stdin(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("it starts"))
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        // That it has ended already is told by what was asked of it.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
