//! The trail as people read it.

use comfy_table::Table;
use schemas::api::{AuditFinding, AuditLine, AuditPlace, AuditVerification};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::exit::Failure;
use crate::output;

/// What of a line's facts is worth a column, the first that there is.
const ABOUT: [&str; 9] =
    ["id", "request", "token", "kind", "file", "lost", "bytes", "version", "agent"];
/// Letters of it.
const LETTERS_MAX: usize = 80;

/// Lines of the trail.
#[derive(Debug, Default)]
pub(super) struct Lines(Option<Table>);

impl Lines {
    pub(super) fn add(&mut self, line: &RawValue) -> Result<(), Failure> {
        let line: AuditLine = serde_json::from_str(line.get()).map_err(Failure::failed)?;
        let about = about(&line);
        let table = self
            .0
            .get_or_insert_with(|| output::table(["AT", "SEQ", "WHAT", "WHO", "FROM", "ABOUT"]));
        let AuditLine { seq, at, what, who, from, .. } = line;
        table.add_row([
            format!("{at:.3}"),
            seq.to_string(),
            what,
            who.unwrap_or_else(output::dash),
            from.unwrap_or_else(output::dash),
            about,
        ]);
        Ok(())
    }

    /// Shows those added since it was last shown.
    pub(super) fn show(&mut self) -> Result<(), Failure> {
        self.0.take().as_ref().map_or(Ok(()), output::show)
    }
}

fn about(line: &AuditLine) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let first = ABOUT.iter().find_map(|name| line.facts.get(*name)).map(text);
    let selectors = line.facts.get("selectors").map(|selectors| format!(" {selectors}"));
    let detail =
        line.facts.get("detail").and_then(Value::as_str).map(|detail| format!(" {detail}"));
    let times = line.facts.get("times").map(|times| format!(" {times} times more"));
    let all = [first, selectors, detail, times].into_iter().flatten().collect::<String>();
    all.chars().take(LETTERS_MAX).collect()
}

/// Whether a trail is as it was written.
pub(super) fn verified(verified: &AuditVerification) -> Result<(), Failure> {
    let AuditVerification { files, lines, oldest, newest, lost, unfinished, finding, .. } =
        verified;
    match finding {
        None => output::line("intact: every line is as it was written")?,
        Some(AuditFinding { file, line: 0, detail, .. }) => {
            output::line(format!("NOT INTACT: {file}: {detail}"))?;
        }
        Some(AuditFinding { file, line, detail, .. }) => {
            output::line(format!("NOT INTACT: {file}:{line}: {detail}"))?;
        }
    }
    let sound = if finding.is_some() { "sound before it" } else { "read" };
    output::line(format!("{sound}: {lines} lines of {files} whole files"))?;
    if let Some(installation) = verified.installation {
        let publisher = verified.publisher.as_deref().unwrap_or("unknown");
        output::line(format!("trail of publisher {publisher}, installation {installation}"))?;
    }
    place("oldest line", oldest.as_ref())?;
    place("newest line", newest.as_ref())?;
    if *lost > 0 {
        output::line(format!(
            "{lost} lines could not be written in their time: audit --what gap tells when"
        ))?;
    }
    if *unfinished {
        output::line(
            "the last line is not whole: it is being written, or its writer was killed and mends it when it starts",
        )?;
    }
    Ok(())
}

fn place(which: &str, place: Option<&AuditPlace>) -> Result<(), Failure> {
    let Some(AuditPlace { seq, hash, at, .. }) = place else { return Ok(()) };
    let at = at.map(|at| format!(", {at:.0}")).unwrap_or_default();
    output::line(format!("{which}: {seq}{at}, {hash}"))
}
