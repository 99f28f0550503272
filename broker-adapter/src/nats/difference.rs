//! How a stream that exists differs from the one that is wanted.
//!
//! What is kept, and for how long, only those who write it decide: an agent with another `retention` than the
//! publisher must not take history away.

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};

use super::failure::Failure;
use super::streams::Purpose;

const RECREATE: &str = "that cannot be changed: delete the stream, or use another broker.prefix";
const EDIT: &str = "edit the stream, or use another broker.prefix";

/// Refuses what would lose messages, or give others than were written.
pub(super) fn check(
    found: &Config,
    wanted: &Config,
    partitions: u32,
    purpose: Purpose,
) -> Result<(), Failure> {
    let mismatch = |field, is: String, should: String, fix| Failure::Mismatch {
        stream: wanted.name.clone(),
        field,
        found: is,
        wanted: should,
        fix,
    };
    if found.storage != StorageType::File {
        return Err(mismatch("storage", "memory".to_owned(), "file".to_owned(), RECREATE));
    }
    if found.retention != RetentionPolicy::Limits {
        let is = format!("{:?}", found.retention).to_lowercase();
        return Err(mismatch("retention", is, "limits".to_owned(), RECREATE));
    }
    let (is, should) = (found.max_messages_per_subject, wanted.max_messages_per_subject);
    // Zero and below: as many as come.
    if is.max(0) != should.max(0) {
        return Err(mismatch("max_msgs_per_subject", is.to_string(), should.to_string(), EDIT));
    }
    if found.max_messages > 0 {
        let is = found.max_messages.to_string();
        return Err(mismatch("max_msgs", is, wanted.max_messages.to_string(), EDIT));
    }
    // A copy of a stream elsewhere has no subjects; it can be read only.
    let copy = found.mirror.is_some() || found.sources.as_ref().is_some_and(|all| !all.is_empty());
    if copy && purpose == Purpose::Read {
        return Ok(());
    }
    if found.discard != DiscardPolicy::Old {
        return Err(mismatch("discard", "new".to_owned(), "old".to_owned(), EDIT));
    }
    if found.no_ack {
        return Err(mismatch("no_ack", "true".to_owned(), "false".to_owned(), EDIT));
    }
    if found.sealed {
        return Err(mismatch("sealed", "true".to_owned(), "false".to_owned(), RECREATE));
    }
    if !covered(&found.subjects, &wanted.subjects, partitions, should > 0) {
        let (is, should) = (found.subjects.join(", "), wanted.subjects.join(", "));
        return Err(mismatch("subjects", is, should, EDIT));
    }
    Ok(())
}

/// Whether each subject that we write is among those of the stream. A log's may be listed one by one.
fn covered(found: &[String], wanted: &[String], partitions: u32, board: bool) -> bool {
    let takes = |subject: &str| found.iter().any(|pattern| includes(pattern, subject));
    wanted.iter().all(|subject| {
        let stem = subject.trim_end_matches('*');
        takes(subject)
            || (!board && (0..partitions).all(|partition| takes(&format!("{stem}{partition}"))))
    })
}

/// Whether every subject that `narrow` means is one that `wide` means.
fn includes(wide: &str, narrow: &str) -> bool {
    let mut narrow = narrow.split('.');
    for token in wide.split('.') {
        match (token, narrow.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (token, Some(other)) if token == other => {}
            _ => return false,
        }
    }
    narrow.next().is_none()
}

/// The stream with what may be changed changed; none where nothing needs to be.
pub(super) fn better(found: &Config, wanted: &Config, purpose: Purpose) -> Option<Config> {
    let mut better = found.clone();
    better.num_replicas = found.num_replicas.max(wanted.num_replicas);
    if found.max_consumers > 0 && found.max_consumers < wanted.max_consumers {
        better.max_consumers = wanted.max_consumers;
    }
    if purpose == Purpose::Write {
        better.max_age = wanted.max_age;
        better.max_bytes = wanted.max_bytes;
        better.duplicate_window = wanted.duplicate_window;
    }
    let changed = better.num_replicas != found.num_replicas
        || better.max_consumers != found.max_consumers
        || better.max_age != found.max_age
        || better.max_bytes != found.max_bytes
        || better.duplicate_window != found.duplicate_window;
    changed.then_some(better)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_nats::jetstream::stream::Source;

    use super::*;

    fn log() -> Config {
        Config {
            name: "p-t".to_owned(),
            subjects: vec!["p.t.*".to_owned()],
            max_messages_per_subject: -1,
            num_replicas: 3,
            max_consumers: 1_000,
            max_age: Duration::from_hours(1),
            max_bytes: 1_000,
            ..Config::default()
        }
    }

    fn field(found: &Config, partitions: u32, purpose: Purpose) -> Option<&'static str> {
        match check(found, &log(), partitions, purpose) {
            Err(Failure::Mismatch { field, .. }) => Some(field),
            _ => None,
        }
    }

    #[test]
    fn subjects_may_be_wider_or_listed() {
        for (subjects, partitions, fits) in [
            (vec!["p.t.*"], 3, true),
            (vec!["p.>"], 3, true),
            (vec![">"], 3, true),
            (vec!["p.*.*"], 3, true),
            (vec!["p.t.0"], 1, true),
            (vec!["p.t.0"], 2, false),
            (vec!["x", "p.t.1", "p.t.0"], 2, true),
            (vec!["p.t"], 1, false),
            (vec!["p.t.*.*"], 1, false),
            (vec!["p.t.*.>"], 1, false),
            (vec!["q.t.*"], 1, false),
            (vec![], 1, false),
        ] {
            let subjects: Vec<String> = subjects.into_iter().map(str::to_owned).collect();
            let found = Config { subjects: subjects.clone(), ..log() };
            let wanted = (!fits).then_some("subjects");
            assert_eq!(field(&found, partitions, Purpose::Write), wanted, "{subjects:?}");
        }
    }

    #[test]
    fn a_copy_of_a_stream_can_be_read_and_not_written() {
        let copy = Config { subjects: Vec::new(), mirror: Some(Source::default()), ..log() };
        assert_eq!(field(&copy, 1, Purpose::Read), None);
        assert_eq!(field(&copy, 1, Purpose::Write), Some("subjects"));
    }

    #[test]
    fn only_writers_change_what_is_kept_and_nobody_takes_copies_away() {
        let found = Config {
            num_replicas: 5,
            max_consumers: 100_000,
            max_age: Duration::from_hours(9),
            max_bytes: 9_000,
            ..log()
        };
        assert_eq!(better(&found, &log(), Purpose::Read), None);
        let better = better(&found, &log(), Purpose::Write).unwrap();
        assert_eq!((better.num_replicas, better.max_consumers), (5, 100_000));
        assert_eq!((better.max_age, better.max_bytes), (log().max_age, log().max_bytes));
    }

    #[test]
    fn anyone_raises_copies_and_readers() {
        let found = Config { num_replicas: 1, max_consumers: 10, ..log() };
        let better = better(&found, &log(), Purpose::Read).unwrap();
        assert_eq!((better.num_replicas, better.max_consumers), (3, 1_000));
        let unlimited = Config { max_consumers: -1, ..log() };
        assert_eq!(super::better(&unlimited, &log(), Purpose::Write), None);
    }
}
