//! The demo ends by itself, finds nothing lost and nothing stale on the bus, and shows what a naive purge leaves.

use std::process::Command;

#[test]
fn the_demo_loses_nothing_and_a_naive_purge_leaves_stale_pages() {
    let output = Command::new(env!("CARGO_BIN_EXE_purgebus"))
        .args(["demo", "--seconds", "8", "--json"])
        .output()
        .expect("the demo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let verdict: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("one JSON document");
    let count = |pointer: &str| {
        verdict.pointer(pointer).and_then(serde_json::Value::as_u64).unwrap_or_else(|| {
            panic!("no {pointer} in {verdict:#}");
        })
    };
    assert_eq!(count("/lost"), 0);
    assert_eq!(count("/stale_after_final"), 0);
    assert!(count("/changes") >= 10);
    assert_eq!(count("/changes"), count("/finished"));
    for place in 0..2 {
        assert!(count(&format!("/places/{place}/reads_checked")) >= 50);
        assert_eq!(count(&format!("/regions/{place}/applied")), count("/changes"));
    }
    let found = count("/naive/stale_after_final") + count("/naive/pages_left_old");
    assert!(found > 0, "the oracle can find something: {verdict:#}");
}
