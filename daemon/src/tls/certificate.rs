//! What a certificate says.

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// Longer names are cut: they go into every log.
const NAME_CHARS_MAX: usize = 200;

/// What concerns us of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) valid_from: Timestamp,
    pub(super) expires: Timestamp,
    /// The common name of its subject, else the first name beside it.
    pub(super) name: Option<String>,
}

impl Facts {
    /// `None` if it is no certificate.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let validity = parsed.validity();
        Some(Self {
            valid_from: Timestamp::from_second(validity.not_before.timestamp()).ok()?,
            expires: Timestamp::from_second(validity.not_after.timestamp()).ok()?,
            name: name(&parsed),
        })
    }
}

fn name(certificate: &X509Certificate<'_>) -> Option<String> {
    let common = certificate.subject().iter_common_name().next();
    let common = common.and_then(|name| name.as_str().ok()).filter(|name| !name.is_empty());
    let name = common.or_else(|| {
        let names = certificate.subject_alternative_name().ok().flatten()?;
        names.value.general_names.iter().find_map(|name| match name {
            GeneralName::DNSName(name) | GeneralName::URI(name) | GeneralName::RFC822Name(name) => {
                Some(*name)
            }
            _ => None,
        })
    })?;
    Some(name.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect())
}
