//! Real signals to this very process, hence a file of its own.

use std::process::Command;
use std::time::Duration;

use daemon::{Stop, stop_on_signals};
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(10);

fn send(signal: &str) {
    let pid = std::process::id().to_string();
    let sent = Command::new("kill").args([signal, &pid]).status().expect("kill is installed");
    assert!(sent.success());
}

#[tokio::test]
async fn the_first_signal_asks_to_stop_and_the_second_does_not_wait() {
    let stop = Stop::new();
    let impatient = stop_on_signals(stop.clone()).expect("signals can be had");
    tokio::pin!(impatient);

    send("-TERM");
    let asked = timeout(DEADLINE, async {
        tokio::select! {
            () = stop.requested() => {}
            second = impatient.as_mut() => panic!("{second}"),
        }
    });
    asked.await.expect("the first signal asks to stop");

    send("-INT");
    timeout(DEADLINE, impatient).await.expect("the second signal ends the wait");
}
