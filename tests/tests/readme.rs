//! The README and the quickstart do what they say.
//!
//! Their blocks run as written, one after the other in one shell, in a network of its own, so that fixed ports are
//! free. Two lines of the tour are read otherwise than written, for the sake of time: `cargo build --release` is left
//! out, and the release's binary is the one that `tests/run` has built for the tests.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use tempfile::TempDir;
use tests::book::{Block, Page, blocks, project, purgebus};
use tokio::time::timeout;
use uuid::Uuid;

/// Longest time for all that a reader is asked to do.
const PATIENCE: Duration = Duration::from_mins(3);
/// Stands between what two blocks print.
const BOUNDARY: &str = "-- the next block --";
/// What a reader of the quickstart has: a site, a Varnish before it, and a Redis.
const WHAT_A_READER_HAS: &str = r#"cd "$(mktemp -d)" && chmod 755 .
cat > origin.py <<'END'
import http.server

class Origin(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Cache-Control", "s-maxage=3600")
        self.send_header("Surrogate-Key", "article-7")
        self.end_headers()
        self.wfile.write(b"article 7")

http.server.ThreadingHTTPServer(("127.0.0.1", 8080), Origin).serve_forever()
END
python3 origin.py 2> origin.log &
cat > site.vcl <<'END'
vcl 4.1;
include "REPO/deploy/varnish/purgebus.vcl";
backend default { .host = "127.0.0.1"; .port = "8080"; }
END
/usr/sbin/varnishd -F -n "$PWD/varnish" -a 127.0.0.1:6081 -f "$PWD/site.vcl" > varnish.log 2>&1 &
redis-server --save '' > redis.log &
curl -sS --fail --retry 60 --retry-delay 1 --retry-all-errors -o page http://127.0.0.1:6081/article/7 2> curl.log
until redis-cli ping > redis.ping 2>&1; do :; done"#;
/// What only the tests need.
const ONLY_FOR_TESTS: [&str; 4] = ["ca-certificates", "iproute2", "openssl", "tmux"];

/// A block to run, and what the page shows below it.
#[derive(Debug)]
struct Step {
    script: String,
    shown: Option<String>,
}

fn readme() -> Page {
    Page::read(Path::new("README.md"))
}

/// The blocks that a reader pastes into a shell, in a piece of Markdown.
fn steps(markdown: &str) -> Vec<Step> {
    let mut steps = Vec::<Step>::new();
    for Block { language, text } in blocks(markdown) {
        match (language.as_str(), steps.last_mut()) {
            ("sh", _) => steps.push(Step { script: text, shown: None }),
            ("text", Some(step @ Step { shown: None, .. })) => step.shown = Some(text),
            ("text", _) => panic!("nothing prints this: {text}"),
            _ => {}
        }
    }
    steps
}

fn tour() -> Vec<Step> {
    let page = readme();
    let (_, tour) = page.text.split_once("<!-- tour").expect("the tour begins");
    let (tour, _) = tour.split_once("<!-- end of the tour -->").expect("the tour ends");
    let others: Vec<_> = blocks(tour)
        .into_iter()
        .filter(|block| !["sh", "text"].contains(&block.language.as_str()))
        .collect();
    assert_eq!(others, [], "nobody runs these");
    steps(tour)
}

/// Where a script runs: a folder that is the root of all temporary ones, and a network with nothing in it but itself.
struct Stage {
    folder: TempDir,
}

/// What a script did.
struct Played {
    status: ExitStatus,
    stdout: String,
    /// Its stderr, and the ends of the logs that it left.
    trouble: String,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a fresh folder");
        // As /tmp: varnishd compiles as another user.
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.path(), open).expect("our own folder");
        Self { folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `script` from the project's folder, as in a shell that stops at the first failure.
    async fn play(&self, script: &str) -> Played {
        let text = format!("ip link set lo up\nset -euo pipefail\n{script}");
        fs::write(self.file("script"), text).expect("written");
        let output = |name| File::create(self.file(name)).expect("a file");
        let mut command = Command::new("unshare");
        if !is_root() {
            command.args(["--map-current-user", "--keep-caps"]);
        }
        command.args(["--net", "bash"]).arg(self.file("script"));
        command.current_dir(project()).env("TMPDIR", self.folder.path());
        command
            .stdin(std::process::Stdio::null())
            .stdout(output("stdout"))
            .stderr(output("stderr"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PURGEBUS") {
                command.env_remove(name);
            }
        }
        command.process_group(0);
        let mut child = tokio::process::Command::from(command).spawn().expect("unshare is there");
        let group = Group(child.id().expect("it runs"));
        let ended = timeout(PATIENCE, child.wait()).await;
        drop(group);
        let trouble = self.trouble();
        let status = ended.unwrap_or_else(|_| panic!("not done in {PATIENCE:?}\n{trouble}"));
        let stdout = fs::read_to_string(self.file("stdout")).expect("text");
        Played { status: status.expect("a child can be waited for"), stdout, trouble }
    }

    fn trouble(&self) -> String {
        let tail = "tail -n 30 stdout stderr */*.log 2>&1";
        let output = Command::new("bash").args(["-c", tail]).current_dir(&self.folder).output();
        String::from_utf8_lossy(&output.expect("bash is there").stdout).into_owned()
    }
}

/// All that a script has started; killed when dropped.
struct Group(u32);

impl Drop for Group {
    fn drop(&mut self) {
        // That nobody is left is no failure.
        Command::new("kill").args(["-KILL", "--", &format!("-{}", self.0)]).output().ok();
    }
}

/// `text` without what differs from run to run: ids, times, widths of columns.
fn settled(text: &str) -> Vec<String> {
    let words = |line: &str| {
        let mut words: Vec<String> = Vec::new();
        for word in line.split_whitespace() {
            let (bare, end) = word
                .strip_suffix([':', ','])
                .map_or((word, ""), |bare| (bare, &word[bare.len()..]));
            let number = words.last().is_some_and(|word| word.parse::<f64>().is_ok());
            if number && ["ms", "s", "min"].contains(&bare) {
                words.pop();
                words.push(format!("SPAN{end}"));
            } else if bare.parse::<Uuid>().is_ok() {
                words.push(format!("ID{end}"));
            } else if bare.parse::<jiff::Timestamp>().is_ok() {
                words.push(format!("TIME{end}"));
            } else {
                words.push(word.to_owned());
            }
        }
        words.join(" ")
    };
    text.lines().map(words).collect()
}

/// Runs `steps` after `prologue`, and compares what they print with what the page shows.
async fn follow(prologue: &str, steps: &[Step]) {
    let boundary = format!("\necho '{BOUNDARY}'\n");
    let script: Vec<_> = steps.iter().map(|step| step.script.as_str()).collect();
    let script = format!("{prologue}\n{}", script.join(&boundary));
    let played = Stage::new().play(&script).await;
    let printed: Vec<_> = played.stdout.split(&format!("{BOUNDARY}\n")).collect();
    for (step, printed) in steps.iter().zip(&printed) {
        if let Some(shown) = &step.shown {
            let (printed, shown) = (settled(printed), settled(shown));
            assert_eq!(printed, shown, "\nof:\n{}\n{}", step.script, played.trouble);
        }
    }
    assert!(played.status.success(), "{}\n{}", played.status, played.trouble);
    assert_eq!(printed.len(), steps.len(), "every block was run");
}

#[tokio::test]
async fn the_tour_works_as_written() {
    let mut steps = tour();
    let first = &mut steps[0].script;
    let (build, release) = ("cargo build --release\n", "$repo/target/release");
    assert!(first.contains(build) && first.contains(release), "the tour builds first: {first}");
    *first = first.replace(build, "").replace(release, &folder_of_purgebus());
    follow("", &steps).await;
}

#[tokio::test]
async fn the_quickstart_works_as_written() {
    let page = Page::read(Path::new("docs/quickstart.md"));
    let repo = std::fs::canonicalize(project()).expect("the project is there");
    let prologue = format!("{WHAT_A_READER_HAS}\nexport PATH=\"{}:$PATH\"", folder_of_purgebus());
    let prologue = prologue.replace("REPO", &repo.display().to_string());
    follow(&prologue, &steps(&page.text)).await;
}

fn folder_of_purgebus() -> String {
    purgebus().parent().expect("a folder").display().to_string()
}

#[test]
fn what_the_readme_installs_is_what_the_tests_install() {
    let run = fs::read_to_string(project().join("tests/run")).expect("the test command");
    let installed = words_between(&run, "packages=(", ")");
    let needed: BTreeSet<_> =
        installed.iter().filter(|name| !ONLY_FOR_TESTS.contains(&name.as_str())).cloned().collect();
    let named = words_between(&readme().text, "apt-get install -y ", "\n");
    assert_eq!(named, needed);
}

fn words_between(text: &str, start: &str, end: &str) -> BTreeSet<String> {
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("{start:?} is missing"));
    let (words, _) = rest.split_once(end).unwrap_or_else(|| panic!("{end:?} is missing"));
    words.split_whitespace().map(str::to_owned).collect()
}

/// Only root may make a network without being given a namespace of users.
fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id is there");
    id.stdout == b"0\n"
}
