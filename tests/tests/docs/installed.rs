//! Programs of others that the tests of the docs need.

use std::path::Path;
use std::process::Command;

/// Runs `tests/install/WHAT`; answers the folder where it has put it.
pub(crate) async fn installed(what: &str) -> String {
    let mut command =
        Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("install").join(what));
    let running = tokio::task::spawn_blocking(move || command.output());
    let output = running.await.expect("no panic").expect("it is there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what} cannot be installed: {said}");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}
