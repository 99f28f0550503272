//! Whether what publishers say on a bus is signed, and with what.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use schemas::SigningKey;
use tempfile::TempDir;

/// The keys of a bus, in files that live as long as it.
#[derive(Debug, Clone)]
pub struct Keys(Option<Arc<TempDir>>);

impl Keys {
    /// One key, for all publishers, that every agent trusts.
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a fresh folder");
        let key = SigningKey::generate().expect("random bits");
        let pem = key.to_pem().expect("a key that can be written down");
        fs::write(folder.path().join("signing.key"), pem).expect("a written key");
        let public = format!("{} every publisher\n", key.public());
        fs::write(folder.path().join("publishers.pub"), public).expect("a written key");
        Self(Some(Arc::new(folder)))
    }

    /// Nobody signs anything.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// The file of those that every agent trusts.
    ///
    /// # Panics
    /// Where nothing is signed.
    pub fn trusted(&self) -> PathBuf {
        let Self(folder) = self;
        folder.as_ref().expect("a signed bus").path().join("publishers.pub")
    }

    /// What every publisher signs with.
    ///
    /// # Panics
    /// Where nothing is signed.
    pub fn signing(&self) -> SigningKey {
        let file = self.trusted().with_file_name("signing.key");
        let pem = fs::read_to_string(file).expect("a key file");
        SigningKey::from_pem(&pem).expect("a key")
    }

    /// The line of `[publisher]`.
    pub(super) fn of_publisher(&self) -> String {
        match &self.0 {
            Some(folder) => {
                format!("signing_key_file = \"{}/signing.key\"", folder.path().display())
            }
            None => "unsigned = true".to_owned(),
        }
    }

    /// The line of `[agent]`.
    pub(super) fn of_agent(&self) -> String {
        match &self.0 {
            Some(_) => format!("trusted_keys_file = \"{}\"", self.trusted().display()),
            None => "accept_unsigned = true".to_owned(),
        }
    }
}
