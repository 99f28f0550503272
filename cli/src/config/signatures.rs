//! Who signs, and who is believed: the keys that a configuration names, and the explicit words for doing without.

use std::path::{Path, PathBuf};

use agent::AgentConfig;
use publisher::PublisherConfig;
use schemas::{SigningKey, Trust, TrustedKeys};

use super::broker::BrokerConfig;
use super::document::Document;
use super::draft::Draft;
use super::mistake::Field;
use super::reader::Reader;
use super::role::Role;
use crate::keys;

const SIGNING_KEY_FILE: &str = "signing_key_file";
const TRUSTED_KEYS_FILE: &str = "trusted_keys_file";

/// The keys of a process. On an embedded log, which never leaves it, nothing is signed, whatever files there are.
#[derive(Debug, Default)]
pub(crate) struct Signatures {
    /// What a publisher signs with.
    pub(crate) key: Option<SigningKey>,
    /// Whom an agent believes.
    pub(crate) trust: Trust,
    /// Whose invalidations a publisher publishes again: as it signs them, none may be a stranger's.
    pub(crate) replayed: Trust,
}

impl Signatures {
    /// Reads the files that are named, and notes what is wrong or missing.
    pub(super) fn read(
        reader: &mut Reader<'_, '_>,
        document: &Document<'_>,
        draft: &Draft,
        role: Role,
    ) -> Self {
        let key = draft.publisher.as_ref().and_then(|config| key(reader, config, role));
        let others = draft.publisher.as_ref().and_then(|config| config.trusted_keys_file.as_ref());
        let replayed = replayed(reader, others, key.as_ref());
        let trust = draft.agent.as_ref().map(|agent| trust(reader, &agent.config, role));
        let trust = trust.unwrap_or_default();
        they_fit(reader, document, key.as_ref(), &trust, role);
        match draft.broker {
            Some(BrokerConfig::Embedded(_)) => Self::default(),
            _ => Self { key, trust, replayed },
        }
    }
}

fn key(reader: &mut Reader<'_, '_>, config: &PublisherConfig, role: Role) -> Option<SigningKey> {
    let field = Field::top("publisher").key(SIGNING_KEY_FILE);
    match (&config.signing_key_file, config.unsigned) {
        (Some(file), false) => load(reader, &field, file, keys::signing_key),
        (Some(_), true) => {
            reader.object(&field, "stands beside unsigned = true; leave out one of the two");
            None
        }
        (None, false) if role == Role::Publisher => {
            let problem = "is missing: agents believe only what is signed; make a key with \
                           `purgebus key create --into FILE` and name it here, or write \
                           unsigned = true, and whoever can write to the broker can purge and flush";
            reader.object(&field, problem);
            None
        }
        (None, _) => None,
    }
}

fn trust(reader: &mut Reader<'_, '_>, config: &AgentConfig, role: Role) -> Trust {
    let field = Field::top("agent").key(TRUSTED_KEYS_FILE);
    match (&config.trusted_keys_file, config.accept_unsigned) {
        (Some(file), unsigned) => match load(reader, &field, file, keys::trusted_keys) {
            Some(keys) if unsigned => Trust::KeysOrUnsigned(keys),
            Some(keys) => Trust::Keys(keys),
            None => Trust::Anyone,
        },
        (None, false) if role == Role::Agent => {
            let problem = "is missing: name a file with the line that `purgebus key create` printed \
                           for each publisher, or write accept_unsigned = true, and whoever can \
                           write to the broker can purge and flush";
            reader.object(&field, problem);
            Trust::Anyone
        }
        (None, _) => Trust::Anyone,
    }
}

/// The keys that it is told of, else its own alone; where it signs nothing, anyone.
fn replayed(
    reader: &mut Reader<'_, '_>,
    others: Option<&PathBuf>,
    key: Option<&SigningKey>,
) -> Trust {
    let field = Field::top("publisher").key(TRUSTED_KEYS_FILE);
    let keys = match others {
        Some(file) => load(reader, &field, file, keys::trusted_keys),
        None => key.and_then(|key| {
            let own = TrustedKeys::try_from(&key.public());
            own.map_err(|error| reader.object(&field, error.to_string())).ok()
        }),
    };
    keys.map_or(Trust::Anyone, Trust::Keys)
}

fn load<T>(
    reader: &mut Reader<'_, '_>,
    field: &Field,
    file: &Path,
    read: impl FnOnce(&Path) -> anyhow::Result<T>,
) -> Option<T> {
    read(file).map_err(|error| reader.object(field, format!("{error:#}"))).ok()
}

/// Notes that the agent of a file would not believe its publisher, though a process of this role is only one of both.
fn they_fit(
    reader: &mut Reader<'_, '_>,
    document: &Document<'_>,
    key: Option<&SigningKey>,
    trust: &Trust,
    role: Role,
) {
    let other = |part: &str, key: &str| {
        let value = document.table().get(part)?.get_ref().get(key)?.get_ref().as_str()?;
        Some(PathBuf::from(value))
    };
    let (signing, trusted);
    let (key, keys) = match (role, key, trust) {
        (_, Some(key), Trust::Keys(keys) | Trust::KeysOrUnsigned(keys)) => (key, keys),
        (Role::Publisher, Some(key), _) => {
            let file = other("agent", TRUSTED_KEYS_FILE);
            trusted = file.and_then(|file| keys::trusted_keys(&file).ok());
            let Some(keys) = &trusted else { return };
            (key, keys)
        }
        (Role::Agent, _, Trust::Keys(keys) | Trust::KeysOrUnsigned(keys)) => {
            let file = other("publisher", SIGNING_KEY_FILE);
            signing = file.and_then(|file| keys::signing_key(&file).ok());
            let Some(key) = &signing else { return };
            (key, keys)
        }
        _ => return,
    };
    let public = key.public();
    if !keys.contains(&public) {
        let problem =
            format!("lacks the key of publisher.{SIGNING_KEY_FILE}; add the line \"{public}\"");
        reader.object(&Field::top("agent").key(TRUSTED_KEYS_FILE), problem);
    }
}

#[cfg(test)]
mod tests {
    use schemas::PublicKey;

    use super::super::tests::environment;
    use super::super::{Config, Mistake};
    use super::*;

    const SITE: &str = "[broker]\nkind = \"nats\"\n[[site]]\nhosts = [\"www.example.com\"]\n";
    const CACHE: &str =
        "[[agent.cache]]\nname = \"edge\"\ndriver = \"edge\"\nurl = \"http://127.0.0.1:1\"\n";

    /// Files of a key and of sets with and without it.
    struct Files {
        folder: tempfile::TempDir,
        public: PublicKey,
    }

    impl Files {
        fn write() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let [ours, other] = [(); 2].map(|()| SigningKey::generate().expect("random bits"));
            let public = ours.public();
            for (name, text) in [
                ("signing.key", ours.to_pem().expect("a key")),
                ("ours.pub", format!("{} other\n{public} ours\n", other.public())),
                ("others.pub", format!("{}\n", other.public())),
            ] {
                std::fs::write(folder.path().join(name), text).expect("written");
            }
            Self { folder, public }
        }

        /// What is said of a file with both parts that hold these keys, in this role.
        fn told(&self, publisher: &str, agent: &str, role: Role) -> Result<Config, Vec<String>> {
            let text = format!("{SITE}[publisher]\n{publisher}\n[agent]\n{agent}\n{CACHE}");
            let text = text.replace('~', &self.folder.path().display().to_string());
            let told = |Mistake { field, problem, .. }: Mistake| format!("{field}: {problem}");
            Config::parse(&text, &environment(&[]), Some(role))
                .map_err(|mistakes| mistakes.into_iter().map(told).collect())
        }
    }

    const KEY: &str = "signing_key_file = \"~/signing.key\"";
    const OURS: &str = "trusted_keys_file = \"~/ours.pub\"";
    const OTHERS: &str = "trusted_keys_file = \"~/others.pub\"";

    #[test]
    fn parts_that_run_apart_sign_and_believe_unless_they_are_told_not_to() {
        let files = Files::write();
        let is_fine = |publisher, agent, role| match files.told(publisher, agent, role) {
            Ok(Config { signatures: Signatures { key, trust, .. }, .. }) => (key.is_some(), trust),
            Err(told) => panic!("{role}: {told:#?}"),
        };
        assert!(is_fine(KEY, "", Role::Publisher).0);
        assert!(!is_fine("unsigned = true", "", Role::Publisher).0);
        assert!(matches!(is_fine("", OURS, Role::Agent).1, Trust::Keys(keys) if keys.len() == 2));
        let unsigned = "accept_unsigned = true";
        let both = format!("{unsigned}\n{OURS}");
        assert!(matches!(is_fine("", &both, Role::Agent).1, Trust::KeysOrUnsigned(_)));
        assert!(matches!(is_fine("", unsigned, Role::Agent).1, Trust::Anyone));
        assert!(matches!(is_fine("", "", Role::Serve), (false, Trust::Anyone)));
        assert!(matches!(is_fine(KEY, OURS, Role::Serve), (true, Trust::Keys(_))));
    }

    #[test]
    fn a_publisher_publishes_again_what_it_has_signed_or_whoever_it_is_told_of() {
        let files = Files::write();
        let replayed = |publisher: &str| match files.told(publisher, "", Role::Publisher) {
            Ok(Config { signatures, .. }) => match signatures.replayed {
                Trust::Keys(keys) => Some((keys.len(), keys.contains(&files.public))),
                _ => None,
            },
            Err(told) => panic!("{told:#?}"),
        };
        assert_eq!(replayed(KEY), Some((1, true)));
        assert_eq!(replayed(&format!("{KEY}\n{OURS}")), Some((2, true)));
        assert_eq!(replayed(&format!("{KEY}\n{OTHERS}")), Some((1, false)));
        assert_eq!(replayed("unsigned = true"), None);
    }

    #[test]
    fn what_is_missing_or_does_not_fit_is_told_with_its_field() {
        let files = Files::write();
        let lacks = format!(
            "lacks the key of publisher.signing_key_file; add the line \"{}\"",
            files.public
        );
        let both = format!("{KEY}\nunsigned = true");
        let trusted = "agent.trusted_keys_file: ";
        let signing = "publisher.signing_key_file: ";
        for (publisher, agent, role, field, expected) in [
            ("", "", Role::Publisher, signing, "is missing: agents believe only what is signed"),
            ("", "", Role::Agent, trusted, "is missing: name a file"),
            (&both, "", Role::Publisher, signing, "stands beside unsigned = true"),
            (KEY, OTHERS, Role::Serve, trusted, &lacks),
            (KEY, OTHERS, Role::Publisher, trusted, &lacks),
            (KEY, OTHERS, Role::Agent, trusted, &lacks),
            ("signing_key_file = \"~/none\"", "", Role::Publisher, signing, "cannot read"),
            ("signing_key_file = \"~/ours.pub\"", "", Role::Publisher, signing, "/"),
            ("", "trusted_keys_file = \"~/signing.key\"", Role::Agent, trusted, "/"),
        ] {
            let told = files.told(publisher, agent, role).expect_err("a mistake");
            let expected = format!("{field}{expected}");
            assert!(told.len() == 1 && told[0].starts_with(&expected), "{role}: {told:#?}");
        }
    }

    #[test]
    fn an_embedded_log_needs_no_keys_and_heeds_none() {
        let files = Files::write();
        let folder = files.folder.path().display();
        let text = format!(
            "[[site]]\nhosts = [\"www.example.com\"]\n[publisher]\nsigning_key_file = \"{folder}/signing.key\"\n\
             [agent]\ntrusted_keys_file = \"{folder}/ours.pub\"\n{CACHE}"
        );
        let config = Config::parse(&text, &environment(&[]), None).expect("no mistakes");
        let Signatures { key, trust, replayed } = config.signatures;
        assert!(key.is_none());
        assert!(matches!((trust, replayed), (Trust::Anyone, Trust::Anyone)));
    }
}
