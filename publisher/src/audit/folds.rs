//! Refusals that are alike are told once a second, so that a flood of them fills no disk. Pure: time is an argument.

use std::collections::HashMap;
use std::net::IpAddr;

/// Most kinds of refusals told apart at once; what is beyond is told as one.
const FOLDS_MAX: usize = 64;

/// What makes refusals alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Alike {
    /// From one address; `None`: from many.
    pub(crate) from: Option<IpAddr>,
    /// Of one token.
    pub(crate) who: String,
    /// For one reason.
    pub(crate) kind: &'static str,
    /// Asking for one thing: method and path.
    pub(crate) request: String,
}

/// Refusals since the last were taken.
#[derive(Debug, Default)]
pub(crate) struct Folds(HashMap<Alike, u64>);

impl Folds {
    /// Whether this one is to be told at once: no other like it was since the last were taken.
    pub(crate) fn is_new(&mut self, alike: Alike) -> bool {
        let alike = if self.0.len() < FOLDS_MAX || self.0.contains_key(&alike) {
            alike
        } else {
            Alike { from: None, who: String::new(), kind: alike.kind, request: String::new() }
        };
        if let Some(more) = self.0.get_mut(&alike) {
            *more += 1;
            return false;
        }
        self.0.insert(alike, 0);
        true
    }

    /// Those that were not told at once, and how many.
    pub(crate) fn take(&mut self) -> Vec<(Alike, u64)> {
        let mut folded: Vec<_> = self.0.drain().filter(|(_, more)| *more > 0).collect();
        folded.sort_by(|(one, _), (other, _)| (one.from, one.kind).cmp(&(other.from, other.kind)));
        folded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alike(last: u8, kind: &'static str) -> Alike {
        let request = "POST /v1/flushes".to_owned();
        Alike { from: Some([10, 0, 0, last].into()), who: String::new(), kind, request }
    }

    #[test]
    fn the_first_is_told_and_the_rest_are_counted() {
        let mut folds = Folds::default();
        let told = (0..10).filter(|_| folds.is_new(alike(1, "unauthorized"))).count();
        assert_eq!(told, 1);
        assert!(folds.is_new(alike(2, "unauthorized")) && folds.is_new(alike(1, "forbidden")));
        assert_eq!(folds.take(), [(alike(1, "unauthorized"), 9)]);
        assert!(folds.is_new(alike(1, "unauthorized")), "another second");
    }

    #[test]
    fn a_flood_from_everywhere_is_a_few_lines() {
        let mut folds = Folds::default();
        let flood =
            (0..200).flat_map(|last| [alike(last, "unauthorized"), alike(last, "forbidden")]);
        let told = flood.clone().chain(flood).filter(|alike| folds.is_new(alike.clone())).count();
        let counted: u64 = folds.take().iter().map(|(_, more)| more).sum();
        assert!(told <= FOLDS_MAX + 2, "{told}");
        assert_eq!(told as u64 + counted, 800, "none is forgotten");
    }
}
