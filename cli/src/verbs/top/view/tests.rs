use crossterm::event::{KeyCode, KeyEvent};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use crate::verbs::top::samples::snapshot;

use super::*;

/// What stands on a screen of that size after these keys, line by line.
fn screen(width: u16, height: u16, snapshot: &Snapshot, keys: &str) -> Vec<String> {
    let mut control = Control::default();
    for key in keys.chars() {
        let code = if key == '\n' { KeyCode::Enter } else { KeyCode::Char(key) };
        control.press(KeyEvent::from(code));
    }
    let scene =
        Scene { publisher: "http://127.0.0.1:8377", snapshot, control: &control, colours: true };
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    terminal.draw(|frame| scene.draw(frame)).expect("drawn");
    let buffer = terminal.backend().buffer();
    let cells = buffer.content().chunks(width.into());
    cells.map(|line| line.iter().map(ratatui::buffer::Cell::symbol).collect()).collect()
}

fn line<'screen>(screen: &'screen [String], holds: &str) -> &'screen str {
    let found = screen.iter().find(|line| line.contains(holds));
    found.unwrap_or_else(|| panic!("no {holds:?} in\n{}", screen.join("\n")))
}

#[test]
fn regions_fit_into_eighty_columns_with_all_that_is_asked_of_them() {
    let screen = screen(80, 24, &snapshot(), "");
    assert!(screen[0].starts_with("purgebus top  http://127.0.0.1:8377"));
    assert!(screen[0].ends_with("2026-11-21 10:00:00Z"), "{}", screen[0]);
    for part in
        ["109.5 settled/s", "p50 3.2 ms", "p99 42.0 ms ▂▄█", "behind 17", "open 1", "dead 1"]
    {
        assert!(screen[1].contains(part), "{part}: {}", screen[1]);
    }
    assert!(screen[2].starts_with("[1 regions]"), "{}", screen[2]);
    for part in ["REGION ▲", "READY", "RATE/s", "p50", "p99", "BEHIND", "OPEN", "DEAD"] {
        assert!(line(&screen, "REGION").contains(part), "{part}");
    }
    let west = line(&screen, "eu-west     1/2");
    for part in ["9.0", "3.2 ms", "42.0 ms", "17 (1.2 s)", "▂▄█"] {
        assert!(west.contains(part), "{part}: {west}");
    }
    line(&screen, "10:00:00  eu-west/edge-1/varnish normal opened its circuit");
    line(&screen, "q leave");
}

#[test]
fn of_a_long_history_the_latest_is_seen() {
    let mut long = snapshot();
    long.regions[0].p99_history_ms = (1..=60).map(f64::from).collect();
    assert!(line(&screen(80, 24, &long, ""), "eu-west     1/2").trim_end().ends_with("██"));
}

#[test]
fn caches_and_dead_letters_say_why_and_what_has_no_room_stands_below() {
    let caches = screen(80, 24, &snapshot(), "2");
    let open = line(&caches, "open     cannot");
    assert!(open.starts_with("eu-west"), "{open}");
    let below = screen(80, 24, &snapshot(), "2jj");
    line(&below, "us-east/edge-1/redis normal, circuit closed");
    let letters = screen(80, 24, &snapshot(), "3");
    line(&letters, "url https://www");
    line(&letters, "eu-west/edge-1/varnish main: url http");
}

#[test]
fn sort_and_filter_are_seen() {
    let sorted = screen(80, 24, &snapshot(), "ss");
    assert!(line(&sorted, "RATE/s ▼").contains("REGION  "));
    let place = |name: &str| sorted.iter().position(|line| line.starts_with(name));
    assert!(place("us-east") < place("eu-west") && place("eu-west") < place("ap-south"));
    let writing = screen(80, 24, &snapshot(), "/us");
    assert!(writing[23].starts_with("/us_"), "{}", writing[23]);
    let filtered = screen(80, 24, &snapshot(), "/us-\n");
    assert!(filtered[2].ends_with("filter: us-"));
    assert!(!filtered.iter().any(|line| line.starts_with("eu-west ")));
    line(&screen(80, 24, &snapshot(), "/nowhere\n"), "no regions with \"nowhere\"");
}

#[test]
fn a_small_window_says_how_large_it_has_to_be_and_a_large_one_is_filled() {
    let small = screen(60, 15, &snapshot(), "");
    assert!(small[0].starts_with("60x15 is too small"), "{}", small[0]);
    for (width, height) in [(1, 1), (76, 16), (200, 50)] {
        let screen = screen(width, height, &snapshot(), "2?");
        assert_eq!(screen.len(), usize::from(height));
    }
    let wide = screen(200, 50, &snapshot(), "2");
    line(&wide, "cannot connect to 127.0.0.1:6081: connection refused");
    assert!(wide[49].starts_with("Tab view"));
}

#[test]
fn a_publisher_that_does_not_answer_is_told_with_the_age_of_what_is_shown() {
    let mut known = snapshot();
    known.trouble = Some("no answer from http://127.0.0.1:8377/".to_owned());
    known.age_seconds = Some(12.0);
    let late = screen(80, 24, &known, "");
    assert!(late[0].ends_with(" NO ANSWER: state of 12.0 s ago "), "{}", late[0]);
    line(&late, "no answer from");
    line(&late, "us-east     2/2");
    let nothing = Snapshot { trouble: known.trouble, ..Snapshot::default() };
    assert!(screen(80, 24, &nothing, "")[0].contains("NO ANSWER YET"));
    assert!(screen(80, 24, &Snapshot::default(), "")[0].contains("asking"));
}

#[test]
fn help_names_every_key() {
    let help = screen(80, 24, &snapshot(), "?");
    for (keys, what) in HELP {
        assert!(help.iter().any(|line| line.contains(keys) && line.contains(what)), "{keys}");
    }
}
