//! `purgebus token`, by the real binary, on a real file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const FILE: &str = "tokens.toml";

fn token(folder: &Path, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_purgebus"));
    command.arg("token").args(arguments.split(' ')).current_dir(folder).output().expect("it starts")
}

/// What it says on stdout where it is done.
fn done(folder: &Path, arguments: &str) -> String {
    let output = token(folder, arguments);
    assert!(output.status.success(), "{arguments}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// What it says on stderr where it is not done, and its exit code.
fn refused(folder: &Path, arguments: &str) -> (Option<i32>, String) {
    let output = token(folder, arguments);
    (output.status.code(), String::from_utf8(output.stderr).expect("text"))
}

#[test]
fn a_token_is_made_listed_and_revoked_and_the_file_is_otherwise_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let (folder, file) = (folder.path(), folder.path().join(FILE));
    let narrow = "create --name cms --site shop --allow url,tag --regions eu-west --priorities normal \
                  --budget 100/s --expires 90d --into tokens.toml";
    let secret = done(folder, narrow);
    assert_eq!(
        (secret.trim_end().len(), secret.lines().count()),
        (64, 1),
        "nothing but the secret"
    );
    let rights = fs::metadata(&file).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(rights, 0o600);
    assert!(!fs::read_to_string(&file).expect("text").contains(secret.trim_end()));
    let mut text = fs::read_to_string(&file).expect("text");
    text.insert_str(0, "# ours since 2026\n");
    fs::write(&file, &text).expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("set");
    done(folder, "create --name sre --allow read,flush --everything confirmed --into tokens.toml");
    let before = fs::read_to_string(&file).expect("text");
    assert!(before.starts_with(&text), "appended");

    let listed: Value =
        serde_json::from_str(&done(folder, "list --file tokens.toml --json")).unwrap();
    let [cms, sre] = &listed["items"].as_array().expect("a list")[..] else { panic!("{listed}") };
    assert_eq!(cms["allow"], serde_json::json!(["url", "tag"]));
    assert_eq!((&cms["budget"], &cms["sites"][0]), (&"100/s".into(), &"shop".into()));
    assert!(cms["expires"].is_string() && cms["revoked"].is_null(), "{cms}");
    assert_eq!(sre["everything"], "confirmed");

    done(folder, "revoke cms --file tokens.toml");
    let after = fs::read_to_string(&file).expect("text");
    let without: Vec<&str> = after.lines().filter(|line| !line.starts_with("revoked")).collect();
    assert_eq!(without, before.lines().collect::<Vec<_>>(), "one line more, and no other change");
    assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o640);
    let table = done(folder, "list --file tokens.toml");
    let row =
        |name: &str| table.lines().find(|line| line.trim_start().starts_with(name)).expect("a row");
    assert!(row("cms").contains("revoked 2"), "{table}");
    assert!(row("sre").contains("everything") && row("sre").contains("never"), "{table}");
}

#[test]
fn what_cannot_work_is_refused_with_the_fix_and_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (folder, file) = (folder.path(), folder.path().join(FILE));
    done(folder, "create --name cms --into tokens.toml");
    let text = fs::read(&file).expect("there");
    for (arguments, exit, told) in [
        ("create --name cms --into tokens.toml", 2, "taken"),
        ("create --name b --site shop --allow flush --into tokens.toml", 2, "leave out sites"),
        ("create --name b --allow read,fly --into tokens.toml", 2, "none of url"),
        ("create --name b --budget 100 --into tokens.toml", 2, "100/s"),
        ("create --name b --everything always --into tokens.toml", 2, "unattended"),
        ("create --name b --expires never --into tokens.toml", 2, "--expires"),
        ("create --name b --into nowhere/tokens.toml", 1, "cannot write nowhere/tokens.toml"),
        ("revoke b --file tokens.toml", 4, "there are cms"),
        ("list --file nowhere.toml", 2, "cannot read nowhere.toml"),
    ] {
        let (code, said) = refused(folder, arguments);
        assert_eq!(code, Some(exit), "{arguments}: {said}");
        assert!(said.contains(told), "{arguments}: {said}");
    }
    assert_eq!(fs::read(&file).expect("there"), text);
    done(folder, "revoke cms --file tokens.toml");
    assert!(refused(folder, "revoke cms --file tokens.toml").1.contains("revoked since"));
    fs::write(&file, "token = 1").expect("written");
    assert_eq!(refused(folder, "create --name b --into tokens.toml").0, Some(2));
    assert_eq!(fs::read(&file).expect("there"), b"token = 1");
}

#[test]
fn without_a_file_secret_and_entry_are_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let shown = done(folder.path(), "create --name cms --site shop");
    let (secret, entry) = shown.split_once("\n\n").expect("two parts");
    assert_eq!(secret.len(), 64);
    assert!(entry.contains("[[token]]") && entry.contains("\"shop\""), "{shown}");
    assert!(!entry.contains(secret));
}
