//! Why a value was refused: what it is, what was wrong, and the limit it broke.

/// A value that is not what it claims to be; the text names the limit and the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {reason}")]
pub struct Refusal {
    what: &'static str,
    reason: String,
}

impl Refusal {
    /// `what` is the noun ("tag"), `reason` goes on from it ("is empty; give 1 to 256 bytes").
    pub fn new(what: &'static str, reason: impl Into<String>) -> Self {
        Self { what, reason: reason.into() }
    }

    /// The noun of the refused value.
    pub fn what(&self) -> &'static str {
        self.what
    }
}
