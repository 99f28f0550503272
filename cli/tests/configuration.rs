//! Wrong configurations, by the real binary.

use std::net::TcpListener;
use std::process::{Command, Output};

use serde_json::Value;

fn purgebus(verb: &[&str], config: &str) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("purgebus.toml");
    std::fs::write(&file, config).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_purgebus"));
    let ours = std::env::vars_os().map(|(name, _)| name);
    for name in ours.filter(|name| name.to_string_lossy().starts_with("PURGEBUS")) {
        command.env_remove(name);
    }
    command.args(verb).arg("-c").arg(&file).current_dir(&folder).output().expect("it starts")
}

/// Five mistakes, in a configuration whose ports are taken by others.
fn five_mistakes(api: &TcpListener, admin: &TcpListener) -> String {
    let address = |listener: &TcpListener| listener.local_addr().expect("bound").to_string();
    format!(
        r#"[publisher]
listen = "{}"
admin = "{}"
journal = "journal"
ack_wait = "one second"

[[site]]
hosts = ["www.example.com"]

[agent]
state = "state"
regoin = "eu-west"

[[agent.cache]]
name = "varnish"
driver = "varnish"
url = "http://127.0.0.1:6081"
after = "redis"
window = "wide"

[[agent.cache]]
name = "varnish"
driver = "varnish"
url = "http://127.0.0.1:6082"
"#,
        address(api),
        address(admin)
    )
}

#[test]
fn five_mistakes_are_five_messages_with_lines_and_no_port_is_touched() {
    let [api, admin] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let config = five_mistakes(&api, &admin);
    let output = purgebus(&["serve"], &config);
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).expect("text");
    assert!(told.ends_with("5 mistakes\n"), "{told}");
    for start in [
        ":5:12: publisher.ack_wait: ",
        ":12:1: agent.regoin: ",
        ":18:1: agent.cache[0].after: ",
        ":19:10: agent.cache[0].window: ",
        ":22:1: agent.cache[1].name: ",
    ] {
        let count = told.lines().filter(|line| line.contains(start)).count();
        assert_eq!(count, 1, "{start:?} in {told}");
    }
}

#[test]
fn a_right_configuration_is_not_started_while_a_port_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound");
    let config = format!(
        "[publisher]\nadmin = \"{address}\"\njournal = \"journal\"\n[agent]\nstate = \"state\"\n\
         [[site]]\nhosts = [\"www.example.com\"]\n\
         [[agent.cache]]\nname = \"edge\"\ndriver = \"edge\"\nurl = \"http://127.0.0.1:1\"\n"
    );
    let output = purgebus(&["serve"], &config);
    let told = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains(&format!("cannot listen on {address}")), "{told}");
}

#[test]
fn a_tokens_file_that_holds_no_tokens_is_a_mistake_of_the_configuration() {
    let config = "[publisher]\njournal = \"journal\"\ntokens_file = \"purgebus.toml\"\n\
                  [agent]\nstate = \"state\"\n[[site]]\nhosts = [\"www.example.com\"]\n\
                  [[agent.cache]]\nname = \"edge\"\ndriver = \"edge\"\nurl = \"http://127.0.0.1:1\"\n";
    let output = purgebus(&["serve"], config);
    let told = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("purgebus.toml is not a tokens file"), "{told}");
}

#[test]
fn scripts_get_every_mistake_as_a_document() {
    let output = purgebus(&["check", "--json"], "grace = 5\n[broker]\nkind = \"nots\"\n");
    assert_eq!(output.status.code(), Some(2));
    let told: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    let fields: Vec<_> = told["mistakes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|mistake| (mistake["field"].as_str().expect("text"), mistake["line"].as_u64()))
        .collect();
    let expected =
        [("agent.cache", None), ("site", None), ("grace", Some(1)), ("broker.kind", Some(3))];
    assert!(expected.iter().all(|expected| fields.contains(expected)), "{fields:?}");
}
