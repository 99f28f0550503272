//! What to do about a trouble with the broker, told by the words of its cause.

/// A kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The user may not.
    Permission,
    /// The broker does not know us.
    Credentials,
    /// One side speaks TLS that the other does not understand or trust.
    Tls,
    /// Nobody answers there.
    Address,
    /// The broker is full.
    Space,
    /// A stream or topic is not as the configuration says.
    Difference,
    /// Something that only a broker says who has let us in, and that says itself what to do.
    Refusal,
    /// Nothing that can be told apart.
    Other,
}

/// Words of each, in the order in which they are looked for: a certificate that was refused is about TLS, though the
/// connection was refused with it.
const WORDS: [(Trouble, &[&str]); 7] = [
    (Trouble::Permission, &["permission", "access rule", "not authorized", "may not"]),
    (
        Trouble::Credentials,
        &["authorization", "authentication", "credential", "user, password", "nkey", "seed", "jwt"],
    ),
    (Trouble::Tls, &["tls", "ssl", "certificate", "handshake", "security.protocol"]),
    (Trouble::Space, &["insufficient", "no space", "its disk", "resource limit", "no room"]),
    (Trouble::Difference, &["differ", "is needed", "exists with", "instead of", "partitions than"]),
    (Trouble::Refusal, &["jetstream"]),
    (
        Trouble::Address,
        &[
            "refused",
            "no such host",
            "lookup",
            "resolve",
            "unreachable",
            "time",
            "no connection",
            "answer",
            "connect",
        ],
    ),
];

/// What the words of a cause speak of.
pub(super) fn trouble(cause: &str) -> Trouble {
    let cause = cause.to_ascii_lowercase();
    let speaks = |words: &&(Trouble, &[&str])| words.1.iter().any(|word| cause.contains(word));
    WORDS.iter().find(speaks).map_or(Trouble::Other, |(trouble, _)| *trouble)
}

impl Trouble {
    /// Whether the broker must have let us in to say so.
    pub(super) fn is_behind_the_door(self) -> bool {
        matches!(self, Self::Permission | Self::Space | Self::Difference | Self::Refusal)
    }

    /// Whether it stays until somebody changes something.
    pub(super) fn lasts(self) -> bool {
        matches!(self, Self::Credentials | Self::Tls)
    }

    /// What to do, at this kind of broker; `needs` says what the role must be allowed to do with the topic.
    pub(super) fn fix(self, kind: &str, needs: &str) -> Option<String> {
        let kafka = kind == "kafka";
        let (servers, identity) = if kafka {
            ("brokers", "`user`, `password_file` and `mechanism` in [broker.sasl]")
        } else {
            (
                "urls",
                "`user` and `password_file`, or `token_file`, `nkey_file` or `credentials_file`, in [broker]",
            )
        };
        Some(match self {
            Self::Permission => format!("let the user of [broker] {needs}; docs/broker.md lists the rights of each role"),
            Self::Credentials => format!("correct {identity}"),
            Self::Tls => "correct [broker.tls]: `ca_file` names who signed the broker's certificate, \
                          `certificate_file` and `key_file` our own where the broker asks for one; leave the \
                          table out where the broker speaks no TLS"
                .to_owned(),
            Self::Address => format!("correct `{servers}` in [broker], or start the broker"),
            Self::Space => "give the broker more room, or lower `retention_bytes` in [broker]".to_owned(),
            Self::Difference => "change [broker] to what is there, or what is there to [broker]".to_owned(),
            Self::Refusal | Self::Other => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_apart() {
        for (cause, expected) in [
            ("permissions violation for publish", Trouble::Permission),
            ("the user may not do that (missing access rule)", Trouble::Permission),
            ("authorization violation: nats://h", Trouble::Credentials),
            ("the broker does not accept user, password or mechanism", Trouble::Credentials),
            ("invalid peer certificate: UnknownIssuer", Trouble::Tls),
            ("connection refused", Trouble::Address),
            ("insufficient resources", Trouble::Space),
            ("the stream has storage = memory, but file is needed", Trouble::Difference),
            ("JetStream is not enabled at this server", Trouble::Refusal),
            ("JetStream has no room: updating", Trouble::Space),
            ("gremlins", Trouble::Other),
        ] {
            assert_eq!(trouble(cause), expected, "{cause}");
        }
    }
}
