//! A certificate authority of a test, and what it issues, as PEM files in a folder that lives as long as it.

use std::fs;
use std::path::PathBuf;

use jiff::civil::Date;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use tempfile::TempDir;

/// An authority that nobody else trusts.
#[derive(Debug)]
pub struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate, PEM.
    pub certificate_file: PathBuf,
    /// Its key, PEM.
    pub key_file: PathBuf,
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// When its files cannot be written.
    #[expect(clippy::new_without_default, reason = "it makes keys and writes files")]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.distinguished_name.push(DnType::CommonName, "tests authority");
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let folder = tempfile::tempdir().expect("a fresh folder");
        fs::write(folder.path().join("ca.pem"), issuer.pem()).expect("a file");
        Self { folder, issuer }
    }

    /// Its own certificate, PEM: whoever trusts it trusts what it issued.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Issues a certificate for a server or a client on this machine: for `name`, `localhost` and 127.0.0.1.
    ///
    /// # Panics
    /// When its files cannot be written.
    pub fn issue(&self, name: &str) -> Identity {
        self.issue_for(name, &[name, "localhost", "127.0.0.1"])
    }

    /// Issues a certificate to `name` that is good for these hosts and addresses only.
    ///
    /// # Panics
    /// When its files cannot be written.
    pub fn issue_for(&self, name: &str, hosts: &[&str]) -> Identity {
        self.write(name, hosts, |_| {})
    }

    /// Issues a certificate for this machine that is good from one day to another.
    ///
    /// # Panics
    /// When its files cannot be written.
    pub fn issue_between(&self, name: &str, from: Date, until: Date) -> Identity {
        self.write(name, &[name, "localhost", "127.0.0.1"], |params| {
            let at = |day: Date| {
                let [month, date] = [day.month(), day.day()].map(i8::unsigned_abs);
                rcgen::date_time_ymd(day.year().into(), month, date)
            };
            (params.not_before, params.not_after) = (at(from), at(until));
        })
    }

    fn write(
        &self,
        name: &str,
        hosts: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("names of hosts");
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Identity {
            certificate_file: self.keep(&format!("{name}.pem"), &certificate.pem()),
            key_file: self.keep(&format!("{name}.key"), &key.serialize_pem()),
        }
    }

    fn keep(&self, name: &str, text: &str) -> PathBuf {
        let file = self.folder.path().join(name);
        fs::write(&file, text).expect("a file");
        file
    }
}
