//! What came of each fault, for people.

use std::io::Write as _;

use tests::town::Rest;

use crate::regions::Regions;

/// One row for each fault, shown as it comes.
#[derive(Debug)]
pub(crate) struct Table {
    town: &'static str,
    accepted: usize,
    journalled: usize,
}

impl Table {
    pub(crate) fn new(town: &'static str) -> Self {
        show(&format!(
            "{:<8} {:<24} {:>8} {:>7} {:>7} {:>7} {:>8} {:>7} {:>5} {:>5}",
            "town",
            "fault",
            "accepted",
            "journal",
            "repairs",
            "flushes",
            "reads",
            "late",
            "stale",
            "lost"
        ));
        Self { town, accepted: 0, journalled: 0 }
    }

    /// Shows what came of `fault`, after which everything accepted is final; repairs, flushes and reads since the
    /// beginning. Answers how many were accepted since the row before, and how many of them in the journal only.
    pub(crate) async fn add(
        &mut self,
        fault: &str,
        regions: &Regions,
        rest: &Rest,
    ) -> (usize, usize) {
        let accepted = rest.edits.len() - self.accepted;
        let journalled = rest.journalled() - self.journalled;
        (self.accepted, self.journalled) = (rest.edits.len(), rest.journalled());
        let reads = rest.all_reads();
        show(&format!(
            "{:<8} {fault:<24} {accepted:>8} {journalled:>7} {:>7} {:>7} {:>8} {:>7} {:>5} {:>5}",
            self.town,
            regions.repairs().await,
            regions.later_flushes().await,
            reads.checked,
            reads.late,
            reads.stale,
            rest.lost.len()
        ));
        (accepted, journalled)
    }
}

/// Also where the test runner hides what a passing test prints.
fn show(row: &str) {
    std::io::stderr().write_all(format!("{row}\n").as_bytes()).expect("stderr");
}
