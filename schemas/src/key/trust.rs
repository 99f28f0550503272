//! Whom a reader believes.

use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, ParsedPublicKey};

use super::{KeyError, KeyId, PublicKey};

/// Most keys of a set: every publisher's, and twice as many while they change.
pub const TRUSTED_KEYS_MAX: usize = 1_000;

/// Public keys: whoever holds the other half of one of them is believed. Old and new ones stand side by side while
/// publishers change their keys.
#[derive(Debug, Clone)]
pub struct TrustedKeys(Vec<(KeyId, ParsedPublicKey)>);

impl TrustedKeys {
    /// Whether it is one of them.
    pub fn contains(&self, key: &PublicKey) -> bool {
        self.find(key.id()).is_some()
    }

    /// How many there are.
    #[expect(clippy::len_without_is_empty, reason = "a set of none cannot be made")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn find(&self, id: KeyId) -> Option<&ParsedPublicKey> {
        self.0.iter().find(|(known, _)| *known == id).map(|(_, key)| key)
    }
}

impl TryFrom<&PublicKey> for TrustedKeys {
    type Error = KeyError;

    /// A set of one.
    fn try_from(key: &PublicKey) -> Result<Self, KeyError> {
        Ok(Self(vec![parsed(key)?]))
    }
}

impl FromStr for TrustedKeys {
    type Err = KeyError;

    /// One key a line; a line that is empty or begins with `#` says nothing.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut keys = Vec::new();
        for (line, text) in (1..).zip(text.lines().map(str::trim)) {
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            if keys.len() == TRUSTED_KEYS_MAX {
                return Err(KeyError::TooMany);
            }
            let wrong = |source: KeyError| KeyError::Line { line, source: Box::new(source) };
            keys.push(text.parse().and_then(|key: PublicKey| parsed(&key)).map_err(wrong)?);
        }
        if keys.is_empty() { Err(KeyError::None) } else { Ok(Self(keys)) }
    }
}

fn parsed(key: &PublicKey) -> Result<(KeyId, ParsedPublicKey), KeyError> {
    let parsed = ParsedPublicKey::new(&ED25519, key.as_bytes());
    Ok((key.id(), parsed.map_err(|_| KeyError::NotPublic)?))
}

/// Whom a reader believes.
#[derive(Debug, Clone, Default)]
pub enum Trust {
    /// Whoever can write to the log.
    #[default]
    Anyone,
    /// Who holds one of these keys.
    Keys(TrustedKeys),
    /// Who holds one of these keys, and who signs nothing: while publishers begin to sign.
    KeysOrUnsigned(TrustedKeys),
}

#[cfg(test)]
mod tests {
    use crate::key::SigningKey;

    use super::*;

    /// Made by `openssl genpkey -algorithm ed25519`, its public half by `openssl pkey -pubout`.
    const OPENSSL: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIFcDb4xhABHR/Hcd30lvyO4yIbcqCP6AAl3yizwOy1Ng\n\
        -----END PRIVATE KEY-----\n";
    const ITS_PUBLIC: &str = "ed25519 1J5aF1RZttHHPNJNit0we8ZnV4db3AHI9HpZaHYiMcc=";

    #[test]
    fn keys_of_other_tools_are_read_and_ours_come_back() {
        let theirs = SigningKey::from_pem(OPENSSL).unwrap();
        assert_eq!(theirs.public().to_string(), ITS_PUBLIC);
        let ours = SigningKey::generate().unwrap();
        let again = SigningKey::from_pem(&ours.to_pem().unwrap()).unwrap();
        assert_eq!(again.public(), ours.public());
        assert_ne!(ours.public(), theirs.public());
    }

    #[test]
    fn a_set_holds_one_key_a_line_with_remarks() {
        let [old, new, other] = [(); 3].map(|()| SigningKey::generate().unwrap().public());
        let set: TrustedKeys =
            format!("# ours\n\n  {old} publisher-1, until May\r\n{new}\n").parse().unwrap();
        assert_eq!(set.len(), 2);
        assert_eq!([old, new, other].map(|key| set.contains(&key)), [true, true, false]);
    }

    #[test]
    fn what_is_no_key_is_refused_with_its_line_and_without_its_text() {
        let good = SigningKey::generate().unwrap();
        let line = |text: &str| format!("# a\n{}\n{text}", good.public()).parse::<TrustedKeys>();
        for text in ["ed25519", "ed25519 AAAA", "rsa AAAA", "ssh-ed25519 AAAA x", "ed25519 !"] {
            let KeyError::Line { line, source } = line(text).unwrap_err() else { panic!("{text}") };
            assert_eq!((line, *source), (3, KeyError::NotPublic), "{text}");
        }
        let pem = good.to_pem().unwrap();
        assert!(!format!("{:?}", line(&pem).unwrap_err()).contains(pem.lines().nth(1).unwrap()));
        assert_eq!("# none\n".parse::<TrustedKeys>().unwrap_err(), KeyError::None);
        let many = format!("{}\n", good.public()).repeat(TRUSTED_KEYS_MAX + 1);
        assert_eq!(many.parse::<TrustedKeys>().unwrap_err(), KeyError::TooMany);
        for text in ["", "x", &good.public().to_string(), &pem.replace("MC", "MD")] {
            assert_eq!(SigningKey::from_pem(text).unwrap_err(), KeyError::NotPrivate, "{text}");
        }
    }

    #[test]
    fn a_signing_key_shows_no_secret() {
        let key = SigningKey::generate().unwrap();
        let shown = format!("{key:?}");
        assert_eq!(shown, format!("SigningKey {{ id: {:?}, .. }}", key.public().id()));
    }
}
