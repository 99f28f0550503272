//! Kafka's programs: installed when missing, and run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

use super::Setup;

/// Longest time an installation may take: tens of megabytes over the network.
const INSTALLATION_PATIENCE: Duration = Duration::from_mins(10);
/// Longest time one of its tools may take.
const TOOL_PATIENCE: Duration = Duration::from_mins(1);
/// A tool ends before a better compiler would have paid, and so does a broker that has little to do.
const QUICK_COMPILER: &str = "-XX:TieredStopAtLevel=1";
/// Any cluster; two brokers never meet.
const CLUSTER: &str = "cHVyZ2VidXMtdGVzdHMtMQ";

/// The folder with the jars.
///
/// # Panics
/// When they cannot be installed.
pub(super) async fn installed() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("install/kafka");
    let installation = Command::new(&script).kill_on_drop(true).output();
    let output = timeout(INSTALLATION_PATIENCE, installation).await;
    let output = output.expect("installed in time").expect("the script runs");
    assert!(output.status.success(), "{}: {}", script.display(), errors(&output));
    let root = String::from_utf8(output.stdout).expect("a path");
    Path::new(root.trim_end()).join("lib")
}

/// A folder as Kafka wants it before the first start: its log formatted, its own log configured.
///
/// # Panics
/// When it cannot be made.
pub(super) async fn format(jars: &Path, setup: &Setup) -> TempDir {
    let folder = tempfile::tempdir().expect("a fresh folder");
    let properties = folder.path().join("server.properties");
    // It wants different ports, and forgets them.
    let ports: Vec<u16> = (2..).take(setup.listeners.len() + 1).collect();
    fs::write(&properties, setup.properties(folder.path(), 1, &ports)).expect("a config");
    fs::write(
        folder.path().join("log4j2.properties"),
        "rootLogger.level=WARN\nrootLogger.appenderRef.c.ref=c\nappender.c.type=Console\nappender.c.name=c\n\
         appender.c.layout.type=PatternLayout\nappender.c.layout.pattern=%d %p %m (%c)%n\n",
    )
    .expect("a config");
    let properties = properties.display().to_string();
    let mut arguments = vec!["format", "-t", CLUSTER, "-c", &properties];
    for user in &setup.scram {
        arguments.extend(["--add-scram", user]);
    }
    run(jars, "kafka.tools.StorageTool", &arguments).await;
    folder
}

/// Copies what [`format`] made.
pub(super) fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&target).expect("a folder");
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).expect("a copy");
        }
    }
}

/// What `sh` is told to be the broker of this folder. Broker and folder go with this process, however that ends.
pub(super) fn broker_arguments(jars: &Path, folder: &Path, setup: &Setup) -> Vec<String> {
    let script = r#"folder=$1; shift
        (tail --pid="$0" -f /dev/null; kill -KILL $$; rm -rf "$folder") &
        exec java "$@""#;
    vec![
        "-c".to_owned(),
        script.to_owned(),
        std::process::id().to_string(),
        folder.display().to_string(),
        "-Xms128m".to_owned(),
        "-Xmx512m".to_owned(),
        "-XX:+UseSerialGC".to_owned(),
        if setup.works_hard { "-XX:+TieredCompilation" } else { QUICK_COMPILER }.to_owned(),
        format!("-Dlog4j2.configurationFile={}", folder.join("log4j2.properties").display()),
        "-cp".to_owned(),
        class_path(jars),
        "kafka.Kafka".to_owned(),
        folder.join("server.properties").display().to_string(),
    ]
}

/// Runs one of Kafka's tools.
///
/// # Panics
/// When it fails; with what it printed.
pub(super) async fn run(jars: &Path, class: &str, arguments: &[&str]) -> String {
    let quick = [QUICK_COMPILER, "-XX:+UseSerialGC", "-Xmx128m", "-cp"];
    let tool = Command::new("java")
        .args(quick)
        .args([&class_path(jars), class])
        .args(arguments)
        .kill_on_drop(true)
        .output();
    let output = timeout(TOOL_PATIENCE, tool).await.expect("done in time").expect("java runs");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{class} {arguments:?}: {printed}{}", errors(&output));
    printed
}

fn class_path(jars: &Path) -> String {
    jars.join("*").display().to_string()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
