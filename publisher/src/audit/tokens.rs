//! What became of the tokens: their file is edited by people, and the publisher notes what it finds changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Of each token by its name, enough to see that it changed, and nothing of its secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct KnownTokens(pub(crate) BTreeMap<String, KnownToken>);

/// What is known of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownToken {
    /// The first digits of its secret's hash, as the tokens file shows it.
    pub(crate) hash: String,
    /// A digest of all that is written of it.
    pub(crate) entry: String,
    /// Whether it was revoked.
    pub(crate) revoked: bool,
}

/// What became of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenChange {
    pub(crate) what: &'static str,
    pub(crate) name: String,
    pub(crate) hash: String,
}

impl KnownTokens {
    /// What is another in `next`, by name.
    pub(crate) fn changes(&self, next: &Self) -> Vec<TokenChange> {
        let change = |what, name: &str, token: &KnownToken| TokenChange {
            what,
            name: name.to_owned(),
            hash: token.hash.clone(),
        };
        let gone = self.0.iter().filter(|(name, _)| !next.0.contains_key(*name));
        let gone = gone.map(|(name, token)| change("token_gone", name, token));
        let others = next.0.iter().filter_map(|(name, token)| {
            let what = match self.0.get(name) {
                None => "token_added",
                Some(before) if before == token => return None,
                Some(before) if token.revoked && !before.revoked => "token_revoked",
                Some(_) => "token_changed",
            };
            Some(change(what, name, token))
        });
        gone.chain(others).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(told: &[(&str, &str, bool)]) -> KnownTokens {
        let token = |entry: &str, revoked| KnownToken {
            hash: format!("sha256:{entry}"),
            entry: entry.to_owned(),
            revoked,
        };
        KnownTokens(
            told.iter()
                .map(|(name, entry, revoked)| ((*name).to_owned(), token(entry, *revoked)))
                .collect(),
        )
    }

    #[test]
    fn each_change_is_told_by_name() {
        let before =
            tokens(&[("a", "1", false), ("b", "2", false), ("c", "3", false), ("d", "4", false)]);
        let after =
            tokens(&[("b", "2", false), ("c", "9", false), ("d", "5", true), ("e", "6", false)]);
        let changes = before.changes(&after);
        let told: Vec<_> =
            changes.iter().map(|change| (change.what, change.name.as_str())).collect();
        assert_eq!(
            told,
            [
                ("token_gone", "a"),
                ("token_changed", "c"),
                ("token_revoked", "d"),
                ("token_added", "e")
            ]
        );
        assert_eq!(changes[0].hash, "sha256:1");
        assert_eq!(after.changes(&after), []);
    }
}
