//! Where the audit trail lies, and the explicit word for doing without one.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use publisher::PublisherConfig;

use super::checks::{folder_can_be_had, nearest};
use super::document::Document;
use super::draft::Draft;
use super::mistake::Field;
use super::reader::Reader;

const AUDIT_DIR: &str = "audit_dir";
/// What the folder beside the journal's has behind that one's name.
const BESIDE: &str = "-audit";

/// The trail's folder: where none is named, beside the journal's, so that a copy of the journal is not one of the trail,
/// and whoever loses the journal still has the trail.
pub(super) fn folder(config: &PublisherConfig, journal: &Path) -> Option<PathBuf> {
    if config.unaudited {
        return None;
    }
    let beside = || match journal.file_name() {
        Some(name) => {
            let mut name = name.to_owned();
            name.push(BESIDE);
            journal.with_file_name(name)
        }
        None => journal.join("audit"),
    };
    Some(config.audit_dir.clone().unwrap_or_else(beside))
}

/// Notes what is wrong with it, and answers what is not wrong but should not stay so.
pub(super) fn check(
    reader: &mut Reader<'_, '_>,
    document: &Document<'_>,
    draft: &Draft,
) -> Option<String> {
    let config = draft.publisher.as_ref()?;
    let field = Field::top("publisher").key(AUDIT_DIR);
    let is_named = document.has(&field);
    if config.unaudited {
        if is_named {
            reader.object(&field, "stands beside unaudited = true; leave out one of the two");
        }
        return None;
    }
    let journal = draft.journal()?;
    let folder = folder(config, journal)?;
    folder_can_be_had(reader, &field, &folder);
    let is_apart = !is_named && device(journal) != device(&folder);
    is_apart.then(|| {
        format!(
            "{field}: the journal lies on a disk of its own, and the audit trail not on it but in {}; name a folder \
             on a disk that survives a restart",
            folder.display()
        )
    })
}

/// The disk on which a folder lies, or would.
fn device(folder: &Path) -> Option<u64> {
    Some(nearest(folder).metadata().ok()?.dev())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{SMALLEST, environment, mistakes};
    use super::super::{Config, Role};
    use super::*;

    fn publisher(keys: &str, variables: &[(&str, &str)]) -> Config {
        let text = format!("[publisher]\n{keys}\n{SMALLEST}");
        Config::parse(&text, &environment(variables), None).expect("no mistakes")
    }

    fn trail(config: &Config) -> Option<&Path> {
        config.publisher.as_ref().expect("a publisher").config.audit_dir.as_deref()
    }

    #[test]
    fn a_trail_is_kept_beside_the_journal_unless_another_folder_is_named() {
        for (journal, beside) in [
            ("/tmp/journal", "/tmp/journal-audit"),
            ("/tmp/journal/", "/tmp/journal-audit"),
            ("journal", "journal-audit"),
            (".", "./audit"),
        ] {
            let set = [("PURGEBUS__PUBLISHER__JOURNAL", journal)];
            assert_eq!(trail(&publisher("", &set)), Some(Path::new(beside)), "{journal}");
        }
        let named = publisher("audit_dir = \"/tmp/trail\"", &[]);
        assert_eq!(trail(&named), Some(Path::new("/tmp/trail")));
        assert!(named.summary().contains(&"audit      trail in /tmp/trail".to_owned()));
        // The embedded log's folder is the journal's.
        let set = [("PURGEBUS__BROKER__KIND", "embedded"), ("PURGEBUS__BROKER__DIR", "/tmp/log")];
        let mut environment = environment(&set);
        environment.retain(|(name, _)| name != "PURGEBUS__PUBLISHER__JOURNAL");
        let embedded = Config::parse(SMALLEST, &environment, None).expect("no mistakes");
        assert_eq!(trail(&embedded), Some(Path::new("/tmp/log-audit")));
    }

    #[test]
    fn it_takes_a_word_to_do_without() {
        let config = publisher("unaudited = true", &[]);
        assert_eq!(trail(&config), None);
        assert!(config.summary().contains(&"audit      none: unaudited = true".to_owned()));
        let both = mistakes("[publisher]\nunaudited = true\naudit_dir = \"/tmp/trail\"\n", &[]);
        let stands = "f:3:1: publisher.audit_dir: stands beside unaudited = true";
        assert!(both.iter().any(|told| told.starts_with(stands)), "{both:#?}");
    }

    #[test]
    fn a_folder_that_cannot_be_had_is_told_before_anything_starts() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let within = file.path().join("trail").display().to_string();
        let set = [("PURGEBUS__PUBLISHER__AUDIT_DIR", within.as_str())];
        let told = mistakes(SMALLEST, &set);
        let [told] = &told[..] else { panic!("{told:#?}") };
        assert!(
            told.starts_with("PURGEBUS__PUBLISHER__AUDIT_DIR: publisher.audit_dir: cannot write")
        );
        // An agent keeps none.
        let agent = Config::parse(SMALLEST, &environment(&set), Some(Role::Agent));
        assert!(
            agent.is_err_and(|told| told
                .iter()
                .all(|told| !told.field.to_string().contains("audit")))
        );
    }

    #[test]
    fn a_trail_that_is_not_on_the_disk_of_its_journal_is_warned_of() {
        let apart = [("PURGEBUS__PUBLISHER__JOURNAL", "/dev/shm")];
        let warned = |config: Config| config.warnings.join("\n");
        assert!(warned(publisher("", &apart)).contains("in /dev/shm-audit; name a folder"));
        assert_eq!(warned(publisher("audit_dir = \"/tmp/trail\"", &apart)), "");
        assert_eq!(warned(publisher("", &[])), "");
    }
}
