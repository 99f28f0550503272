//! What is written in a file and its environment, so that two readings can be compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};

use toml::de::{DeTable, DeValue};

use super::role::Role;

/// Every key that concerns a role, with a digest of its value: some are secrets. A list is one value.
#[derive(Debug, Default)]
pub(crate) struct Written(BTreeMap<String, u64>);

impl Written {
    pub(super) fn of(table: &DeTable<'_>, role: Role) -> Self {
        let mut written = Self::default();
        written.note("", table);
        written.0.retain(|key, _| match key.split('.').next() {
            Some("publisher") => role.publishes(),
            Some("agent") => role.purges(),
            _ => true,
        });
        written
    }

    /// The keys that are not as they are there.
    pub(crate) fn changes<'a>(&'a self, there: &'a Self) -> BTreeSet<&'a str> {
        let keys = self.0.keys().chain(there.0.keys());
        keys.filter(|key| self.0.get(*key) != there.0.get(*key)).map(String::as_str).collect()
    }

    /// Takes over what is written there of `key`.
    pub(crate) fn adopt(&mut self, key: &str, there: &Self) {
        match there.0.get(key) {
            Some(value) => self.0.insert(key.to_owned(), *value),
            None => self.0.remove(key),
        };
    }

    fn note(&mut self, path: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let path = if path.is_empty() {
                key.get_ref().to_string()
            } else {
                format!("{path}.{}", key.get_ref())
            };
            match value.get_ref() {
                DeValue::Table(table) => self.note(&path, table),
                value => {
                    let mut digest = DefaultHasher::new();
                    text(value).hash(&mut digest);
                    self.0.insert(path, digest.finish());
                }
            }
        }
    }
}

/// The same for equal values, wherever they stand.
fn text(value: &DeValue<'_>) -> String {
    let mut written = String::new();
    write_text(value, &mut written);
    written
}

fn write_text(value: &DeValue<'_>, to: &mut String) {
    let wrote = match value {
        DeValue::String(text) => write!(to, "{text:?}"),
        DeValue::Integer(number) => write!(to, "{number}"),
        DeValue::Float(number) => write!(to, "{number}"),
        DeValue::Boolean(word) => write!(to, "{word}"),
        DeValue::Datetime(time) => write!(to, "{time}"),
        DeValue::Array(items) => {
            to.push('[');
            for item in items {
                write_text(item.get_ref(), to);
                to.push(',');
            }
            to.push(']');
            Ok(())
        }
        DeValue::Table(table) => {
            to.push('{');
            for (key, value) in table {
                to.push_str(key.get_ref());
                to.push('=');
                write_text(value.get_ref(), to);
                to.push(',');
            }
            to.push('}');
            Ok(())
        }
    };
    wrote.expect("text takes text");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, role: Role) -> Written {
        Written::of(DeTable::parse(text).unwrap().get_ref(), role)
    }

    #[test]
    fn only_what_says_something_else_has_changed() {
        let before = written(
            "grace = \"1s\"\n[log]\nlevel = \"info\"\n[[agent.cache]]\nname = \"a\"\nn = 1\n",
            Role::Serve,
        );
        let after = "# moved\nlog = { level = \"info\" }\ngrace = \"2s\"\n[agent]\nname = \"x\"\n\
                     cache = [{ n = 1, name = \"a\" }]\n";
        let after = written(after, Role::Serve);
        assert_eq!(before.changes(&after), ["agent.name", "grace"].into());
        let other = written("grace = \"1s\"\n[[agent.cache]]\nname = \"a\"\nn = 2", Role::Serve);
        assert_eq!(before.changes(&other), ["agent.cache", "log.level"].into());
    }

    #[test]
    fn what_concerns_another_role_has_not_changed() {
        let before = written("[publisher]\nname = \"a\"", Role::Agent);
        let after = written("[publisher]\nname = \"b\"\n[agent]\nname = \"c\"", Role::Agent);
        assert_eq!(before.changes(&after), ["agent.name"].into());
    }

    #[test]
    fn what_was_adopted_has_not_changed() {
        let mut before = written("a = 1\nb = 1", Role::Serve);
        let after = written("a = 2\nc = 1", Role::Serve);
        before.adopt("a", &after);
        before.adopt("b", &after);
        assert_eq!(before.changes(&after), ["c"].into());
    }
}
