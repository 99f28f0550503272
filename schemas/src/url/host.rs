//! Hosts: lower-case labels of letters, digits and hyphens, with a port where one is needed.

use std::borrow::Cow;

use super::Scheme;
use crate::Refusal;
use crate::text::text;

/// Longest host name in bytes, without the port (RFC 1035).
const NAME_BYTES_MAX: usize = 253;

/// Longest label in bytes (RFC 1035).
const LABEL_BYTES_MAX: usize = 63;

text! {
    /// A host: lower-case letters, digits, hyphens and dots, with its port where that is not the scheme's own.
    Host = "host", canonical;
}

impl Host {
    pub(super) fn has_default_port(&self, scheme: Scheme) -> bool {
        self.0.ends_with(scheme.default_port_suffix())
    }

    pub(super) fn without_default_port(self, scheme: Scheme) -> Self {
        match self.0.strip_suffix(scheme.default_port_suffix()) {
            Some(name) => Self(name.into()),
            None => self,
        }
    }
}

fn canonical<'a>(what: &'static str, text: &'a str) -> Result<Cow<'a, str>, Refusal> {
    let refuse = |reason: String| Err(Refusal::new(what, reason));
    if text.contains('@') {
        return refuse("holds user information; leave out what stands before '@'".into());
    }
    if text.starts_with('[') || text.matches(':').count() > 1 {
        return refuse("is an IPv6 literal; write the host's name".into());
    }
    let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    if name.is_empty() {
        return refuse("is empty; write https://host/path".into());
    }
    if name.ends_with('.') {
        return refuse("ends with a dot; leave it out".into());
    }
    if name.len() > NAME_BYTES_MAX {
        return refuse(format!("is {} bytes long; give at most {NAME_BYTES_MAX}", name.len()));
    }
    for label in name.split('.') {
        check_label(what, label)?;
    }
    if let Some(port) = port {
        check_port(what, port)?;
    }
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Ok(text.to_ascii_lowercase().into());
    }
    Ok(text.into())
}

fn check_label(what: &'static str, label: &str) -> Result<(), Refusal> {
    let stranger = label.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '-');
    let reason = match stranger {
        Some(c) if !c.is_ascii() => format!("holds {c:?}; write the host in its xn-- form"),
        Some(c) => format!("holds {c:?}; give letters, digits, hyphens and dots"),
        None if label.is_empty() => "has an empty label; write one dot between labels".into(),
        None if label.len() > LABEL_BYTES_MAX => {
            format!("has a label of {} bytes; give at most {LABEL_BYTES_MAX}", label.len())
        }
        None if label.starts_with('-') || label.ends_with('-') => {
            "has a label that begins or ends with a hyphen".into()
        }
        None => return Ok(()),
    };
    Err(Refusal::new(what, reason))
}

fn check_port(what: &'static str, port: &str) -> Result<(), Refusal> {
    // `parse` alone would take a sign and leading zeros: more than one spelling of a port.
    let one_spelling = port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
    if one_spelling && port.parse::<u16>().is_ok() {
        Ok(())
    } else {
        Err(Refusal::new(
            what,
            "has no valid port after ':'; give 1 to 65535, or leave out the colon",
        ))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_hosts_are_taken_in_lower_case() {
        for host in
            ["www.Example.com", "localhost", "127.0.0.1", "xn--bcher-kva.example:8080", "A-1"]
        {
            let parsed: Host = host.parse().unwrap();
            assert_eq!(parsed.as_str(), host.to_ascii_lowercase());
            assert_eq!(Host::from_canonical(host).is_ok(), host == parsed.as_str());
        }
    }

    #[test]
    fn strange_hosts_are_refused_with_the_fix() {
        let (long_label, long_name) = ("a".repeat(64), "a.".repeat(127) + "a");
        for (host, reason) in [
            ("", "is empty"),
            (":80", "is empty"),
            ("a.com.", "ends with a dot; leave it out"),
            ("a..b", "has an empty label"),
            (".a", "has an empty label"),
            ("-a.com", "begins or ends with a hyphen"),
            ("a-.com", "begins or ends with a hyphen"),
            ("bücher.example", "write the host in its xn-- form"),
            ("a_b.com", "holds '_'; give letters, digits, hyphens and dots"),
            ("*.a.com", "holds '*'"),
            ("a\r\nb", "holds '\\r'"),
            ("a%2e", "holds '%'"),
            ("a\\b", "holds '\\\\'"),
            ("[::1]:80", "is an IPv6 literal"),
            ("::1", "is an IPv6 literal"),
            ("me@a.com", "holds user information"),
            ("a.com:", "give 1 to 65535"),
            ("a.com:0", "give 1 to 65535"),
            ("a.com:080", "give 1 to 65535"),
            ("a.com:+80", "give 1 to 65535"),
            ("a.com:65536", "give 1 to 65535"),
            (&long_label, "has a label of 64 bytes; give at most 63"),
            (&long_name, "is 255 bytes long; give at most 253"),
        ] {
            let refusal = host.parse::<Host>().expect_err(host).to_string();
            assert!(refusal.contains(reason), "{host:?}: {refusal}");
        }
    }

    proptest! {
        #[test]
        fn whatever_parses_is_canonical(text in "[A-Ca-c0-2.:-]{1,12}|\\PC{0,8}") {
            if let Ok(host) = text.parse::<Host>() {
                prop_assert_eq!(Host::from_canonical(host.as_str()), Ok(host));
            }
        }
    }
}
