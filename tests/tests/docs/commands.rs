//! Every `purgebus` command that the docs show, in a block or in a sentence, is one that the binary knows.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use tests::book::{Page, pages, project, purgebus};

/// What may stand before a command on its line.
const SEPARATORS: [&str; 6] = ["&&", "||", "|", ";", "$(", "<("];

#[test]
fn every_command_shown_exists() {
    let mut binary = Binary::default();
    let mut unknown = Vec::new();
    let mut shown = 0;
    for page in pages() {
        for words in commands(&page) {
            shown += 1;
            if !binary.knows(&words) {
                unknown.push(format!("{}: purgebus {}", page.name.display(), words.join(" ")));
            }
        }
    }
    assert!(unknown.is_empty(), "the binary does not know:\n{}", unknown.join("\n"));
    assert!(shown > 10, "only {shown} commands were found");
}

#[test]
fn the_services_start_what_there_is() {
    let mut binary = Binary::default();
    let mut checked = 0;
    for entry in fs::read_dir(project().join("deploy/systemd")).expect("the units") {
        let unit = fs::read_to_string(entry.expect("a file").path()).expect("text");
        let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/"));
        let started = commands_in(start.expect("it starts something"));
        assert_eq!(started.len(), 1, "{started:?}");
        assert!(binary.knows(&started[0]), "the binary does not know {started:?}");
        checked += 1;
    }
    assert!(checked > 2, "only {checked} units were found");
}

/// The binary, and what it says about each verb.
#[derive(Default)]
struct Binary(BTreeMap<String, Option<String>>);

impl Binary {
    /// Whether there is the verb, with all of these flags: of its own, or of the verb that follows it.
    fn knows(&mut self, words: &[String]) -> bool {
        let Some(help) = self.help(&words[..1]) else { return false };
        let second = words.get(1).filter(|word| word.chars().all(|c| c.is_ascii_lowercase()));
        let below = second.and_then(|_| self.help(&words[..2])).unwrap_or_default();
        let mut flags = words[1..].iter().filter(|word| is_flag(word));
        flags.all(|flag| has(&help, flag) || has(&below, flag))
    }

    fn help(&mut self, verbs: &[String]) -> Option<String> {
        self.0.entry(verbs.join(" ")).or_insert_with(|| help(verbs)).clone()
    }
}

/// The words behind `purgebus`, of each command on a page.
fn commands(page: &Page) -> Vec<Vec<String>> {
    let blocks = page.blocks().into_iter();
    let scripts = blocks.filter(|block| matches!(block.language.as_str(), "sh" | "console"));
    let scripts = scripts.map(|block| block.text.replace("\\\n", " "));
    scripts.chain(page.code_spans()).flat_map(|text| commands_in(&text)).collect()
}

fn commands_in(text: &str) -> Vec<Vec<String>> {
    let mut lines = text.replace("cargo run --release --", "purgebus");
    for separator in SEPARATORS {
        lines = lines.replace(separator, "\n");
    }
    let commands = lines.lines().map(|line| {
        let words = line.split_whitespace().skip_while(|word| is_assignment(word));
        words.map(|word| word.trim_matches([')', '"']).to_owned()).collect::<Vec<_>>()
    });
    let ours = commands.filter(|words| words.first().is_some_and(|word| word == "purgebus"));
    ours.map(|words| words[1..].to_vec()).filter(|words| !words.is_empty()).collect()
}

fn is_assignment(word: &str) -> bool {
    let name = word.split_once('=').map_or("", |(name, _)| name);
    !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

fn is_flag(word: &str) -> bool {
    word.starts_with('-') && word.len() > 1
}

/// What the binary says about a verb, or about itself where the word is a flag; `None` if it does not know it.
fn help(verbs: &[String]) -> Option<String> {
    let mut command = Command::new(purgebus());
    let verb = &verbs[0];
    if !is_flag(verb) {
        command.args(verbs);
    }
    let output = command.arg("--help").output().expect("it starts");
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    let known = output.status.success() && (!is_flag(verb) || has(&help, verb));
    known.then_some(help)
}

fn has(help: &str, flag: &str) -> bool {
    let bare = flag.split_once('=').map_or(flag, |(bare, _)| bare);
    help.split(|c: char| c.is_whitespace() || c == ',').any(|word| word == bare)
}

#[test]
fn commands_are_found_wherever_they_stand() {
    let script = "A=b purgebus check -c f && id=$(purgebus purge --tag t | cut -d : -f 1)\nnot purgebus\n\
                  cargo run --release -- demo";
    let expected = [vec!["check", "-c", "f"], vec!["purge", "--tag", "t"], vec!["demo"]];
    assert_eq!(commands_in(script), expected);
}
