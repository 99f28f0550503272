//! Every configuration that the docs show, and every one that we ship, passes `purgebus check`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use tests::authority::{Authority, Identity};
use tests::book::{pages, project, purgebus};

/// What a piece of a configuration is completed with, where it lacks it.
const SITE: &str = "\n[[site]]\nhosts = [\"www.example.com\"]\n";
const CACHE: &str = "\n[[agent.cache]]\nname = \"varnish\"\ndriver = \"varnish\"\nurl = \"http://127.0.0.1:6081\"\n";
const TOKENS: &str = "[[token]]\nname = \"cms\"\n\
    hash = \"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"\n";

#[test]
fn every_configuration_shown_is_right() {
    let mut checked = 0;
    for page in pages() {
        let blocks = page.blocks().into_iter().filter(|block| block.language == "toml");
        // A file of tokens is no configuration.
        for block in blocks.filter(|block| !block.text.contains("[[token]]")) {
            let said = mistakes(&completed(&block.text));
            assert_eq!(said, None, "{} shows:\n{}", page.name.display(), block.text);
            checked += 1;
        }
    }
    assert!(checked > 0, "there are none to check");
}

#[test]
fn every_configuration_shipped_is_right_and_whole() {
    let examples = project().join("deploy/examples");
    let mut checked = 0;
    for entry in fs::read_dir(examples).expect("the examples") {
        let path = entry.expect("a file").path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let said = mistakes(&fs::read_to_string(&path).expect("text"));
            assert_eq!(said, None, "{}", path.display());
            checked += 1;
        }
    }
    assert!(checked > 0, "there are none to check");
}

/// Files that configurations name in `/etc/purgebus`.
const FILES: [(&str, &str); 4] = [
    ("broker-password", "secret\n"),
    ("broker-ca.pem", "-----BEGIN CERTIFICATE-----\n"),
    (
        "signing.key",
        "-----BEGIN PRIVATE KEY-----\n\
         MC4CAQAwBQYDK2VwBCIEIFcDb4xhABHR/Hcd30lvyO4yIbcqCP6AAl3yizwOy1Ng\n\
         -----END PRIVATE KEY-----\n",
    ),
    ("publishers.pub", "ed25519 1J5aF1RZttHHPNJNit0we8ZnV4db3AHI9HpZaHYiMcc= publisher-1\n"),
];

/// Certificates that configurations name there.
static OURS: OnceLock<(Authority, Identity)> = OnceLock::new();

fn completed(piece: &str) -> String {
    let mut config = piece.to_owned();
    for (table, text) in [("[[site]]", SITE), ("[[agent.cache]]", CACHE)] {
        if !piece.contains(table) {
            config.push_str(text);
        }
    }
    config
}

/// What `purgebus check` has to say against it, on a machine where the files lie that it names.
fn mistakes(config: &str) -> Option<String> {
    let folder = tempfile::tempdir().expect("a fresh folder");
    for (name, text) in FILES {
        fs::write(folder.path().join(name), text).expect("written");
    }
    let (authority, ours) = OURS.get_or_init(|| {
        let authority = Authority::new();
        let ours = authority.issue("api");
        (authority, ours)
    });
    for (name, file) in [
        ("clients.pem", &authority.ca_file()),
        ("api.pem", &ours.certificate_file),
        ("api.key", &ours.key_file),
    ] {
        fs::copy(file, folder.path().join(name)).expect("copied");
    }
    let config = config.replace("/etc/purgebus/", "");
    fs::write(folder.path().join("purgebus.toml"), config).expect("written");
    let output = check(folder.path());
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

fn check(folder: &Path) -> std::process::Output {
    let mut command = Command::new(purgebus());
    command.args(["check", "-c", "purgebus.toml"]).current_dir(folder).env_clear();
    // Tokens lie where only the reader has them.
    fs::write(folder.join("tokens.toml"), TOKENS).expect("written");
    command.env("PURGEBUS__PUBLISHER__TOKENS_FILE", "tokens.toml");
    command.output().expect("it starts")
}
