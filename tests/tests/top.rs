//! `purgebus top` in a real terminal, at a real `purgebus serve` with traffic.

use std::process::Command;

use serde_json::{Value, json};
use tests::eventually;
use tests::process::purgebus;
use tests::serve::{DATA, Serve, Settings};
use tests::servers::redis::Redis;
use tests::terminal::Terminal;
use tokio::time::{Duration, sleep};

/// A serve with one cache in one region, and another region without agents.
async fn serve(redis: &Redis) -> Serve {
    let settings = Settings::default()
        .redis(redis.address(), DATA, "starts_empty = true\nrebounds = [\"300ms\"]")
        .regions(&["local", "ap-south"]);
    Serve::start_ready(settings).await
}

fn top(serve: &Serve) -> String {
    let address = serve.api().address();
    let binary = purgebus().get_program().to_string_lossy().into_owned();
    format!("{binary} top --publisher http://{address} --every 100ms")
}

/// Publishes for as long as it is polled.
async fn traffic(serve: &Serve) -> ! {
    for number in 0_u32.. {
        let body = json!({"site": "main", "keys": [format!("k{number}")], "regions": ["local"]});
        // The publisher is away for a part of the test.
        serve.api().try_publish(&body, &format!("key-{number}")).await.ok();
        sleep(Duration::from_millis(20)).await;
    }
    unreachable!("the numbers do not end")
}

/// The words of the row that begins so.
fn row<'screen>(lines: &'screen [String], first: &str) -> Vec<&'screen str> {
    let rows = lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|words| words.first() == Some(&first)).max_by_key(Vec::len).unwrap_or_default()
}

fn at(lines: &[String], first: &str) -> Option<usize> {
    lines.iter().position(|line| line.starts_with(&format!("{first} ")))
}

fn number(words: &[&str], at: usize) -> f64 {
    words.get(at).and_then(|word| word.parse().ok()).unwrap_or(-1.0)
}

fn holds(lines: &[String], text: &str) -> bool {
    lines.iter().any(|line| line.contains(text))
}

/// Regions, caches, a circuit that opens; the same rows sorted and filtered.
async fn watch(terminal: &Terminal, redis: &mut Redis) {
    terminal
        .shows("regions with their rates and latencies", |lines| {
            let local = row(lines, "local");
            let latency = local.get(4) == Some(&"ms") && number(&local, 3) > 0.0;
            lines.len() == 24
                && number(&local, 2) > 0.0
                && latency
                && at(lines, "ap-south").is_some()
        })
        .await;
    assert!(terminal.is_taken());
    assert!(terminal.lines().iter().all(|line| line.chars().count() <= 80));

    terminal.shows("by name", |lines| at(lines, "ap-south") < at(lines, "local")).await;
    terminal.press("r");
    terminal.shows("turned round", |lines| at(lines, "local") < at(lines, "ap-south")).await;
    terminal.press("s");
    terminal.press("s");
    let by_rate =
        |lines: &[String]| holds(lines, "RATE/s ▼") && at(lines, "local") < at(lines, "ap-south");
    terminal.shows("by rate", by_rate).await;
    terminal.enter("/AP-");
    let filtered = |lines: &[String]| {
        holds(lines, "filter: AP-")
            && at(lines, "ap-south").is_some()
            && at(lines, "local").is_none()
    };
    terminal.shows("one region only", filtered).await;
    terminal.press("Escape");
    terminal.shows("all regions again", |lines| at(lines, "local").is_some()).await;

    terminal.press("2");
    terminal
        .shows("the caches", |lines| {
            let settled = lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>());
            let mut normal = settled.filter(|words| words.get(3) == Some(&"normal"));
            normal.any(|words| words[2] == "redis" && number(&words, 4) > 0.0)
        })
        .await;
    redis.stop().await;
    let opened = |lines: &[String]| {
        let open = row(lines, "local").contains(&"open");
        open && holds(lines, "redis normal opened its circuit") && !holds(lines, "  open -")
    };
    terminal.shows("a circuit that is open", opened).await;
    redis.restart().await;
    terminal.shows("a circuit that is closed", |lines| holds(lines, "closed its circuit")).await;
}

#[tokio::test]
async fn an_engineer_watches_the_bus_in_a_terminal() {
    let mut redis = Redis::start().await;
    let mut serve = serve(&redis).await;
    let terminal = Terminal::open(80, 24);
    terminal.enter("echo before; stty -g > was");
    terminal.shows("the shell", |lines| holds(lines, "before")).await;
    terminal.enter(&top(&serve));
    tokio::select! {
        () = watch(&terminal, &mut redis) => {}
        never = traffic(&serve) => never,
    }

    terminal.resize(60, 15);
    terminal.shows("that it is too small", |lines| holds(lines, "60x15 is too small")).await;
    terminal.resize(120, 30);
    let wide = |lines: &[String]| lines.len() == 30 && row(lines, "local").contains(&"redis");
    terminal.shows("the caches in the large window", wide).await;

    serve.kill();
    let away =
        |lines: &[String]| holds(lines, "NO ANSWER: state of") && at(lines, "local").is_some();
    terminal.shows("the last state while nobody answers", away).await;
    serve.restart().await;
    terminal.shows("answers again", |lines| !holds(lines, "NO ANSWER")).await;

    terminal.press("q");
    eventually("the window is given back", async || !terminal.is_taken()).await;
    terminal.enter("stty -g > is; cmp was is && echo as it was");
    terminal
        .shows("the shell as it was", |lines| {
            holds(lines, "before") && at(lines, "as it").is_some()
        })
        .await;

    terminal.enter(&top(&serve));
    eventually("it is taken again", async || terminal.is_taken()).await;
    let killed = Command::new("kill").args(["-TERM", &terminal.child()]).status();
    assert!(killed.expect("kill is installed").success());
    eventually("the window is given back", async || !terminal.is_taken()).await;
    terminal.enter("echo it said $?; stty -g > is; cmp was is && echo still");
    terminal.shows("an orderly end", |lines| lines.iter().any(|line| line == "it said 0")).await;
    terminal.shows("the shell as it was", |lines| lines.iter().any(|line| line == "still")).await;
}

#[tokio::test]
async fn scripts_get_lines_and_whoever_has_no_terminal_is_told() {
    let redis = Redis::start().await;
    let serve = serve(&redis).await;
    let command = top(&serve);
    let said = Command::new("sh").args(["-c", &format!("{command} --json | head -n 2")]).output();
    let said = String::from_utf8(said.expect("it runs").stdout).expect("text");
    let lines: Vec<Value> =
        said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["all"]["settled_per_second"], Value::Null);
    assert_eq!(lines[1]["all"]["settled_per_second"], json!(0.0));
    let regions: Vec<_> = lines[1]["regions"].as_array().expect("rows").iter().collect();
    assert_eq!(regions.len(), 2);
    assert_eq!(lines[1]["caches"][0]["circuit"], "closed");

    let output = Command::new("sh").args(["-c", &format!("{command} </dev/null")]).output();
    let output = output.expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("--json"), "{told}");
}
