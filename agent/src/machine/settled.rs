//! What was settled since it was last told: neighbours together, since most come in order.

use schemas::{LineId, NumberRange};

/// Numbers settled, in the order they were.
#[derive(Debug, Default)]
pub(super) struct Settled(Vec<(LineId, NumberRange)>);

impl Settled {
    /// These were before anything else.
    pub(super) fn new(numbers: Vec<(LineId, NumberRange)>) -> Self {
        Self(numbers)
    }

    /// These are now.
    pub(super) fn push(&mut self, line: LineId, numbers: NumberRange) {
        match self.0.last_mut() {
            Some((last_line, last))
                if *last_line == line && last.last.checked_add(1) == Some(numbers.first) =>
            {
                last.last = numbers.last;
            }
            _ => self.0.push((line, numbers)),
        }
    }

    /// All of them, once.
    pub(super) fn take(&mut self) -> Vec<(LineId, NumberRange)> {
        std::mem::take(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_a_line_are_told_as_one_range() {
        let (one, other) = (LineId::from_bytes([1; 16]), LineId::from_bytes([2; 16]));
        let range = |first, last| NumberRange { first, last };
        let mut settled = Settled::default();
        for (line, first, last) in
            [(one, 1, 1), (one, 2, 4), (other, 5, 5), (one, 5, 5), (one, 7, 7), (one, 7, 7)]
        {
            settled.push(line, range(first, last));
        }
        let told = [
            (one, range(1, 4)),
            (other, range(5, 5)),
            (one, range(5, 5)),
            (one, range(7, 7)),
            (one, range(7, 7)),
        ];
        assert_eq!(settled.take(), told);
        assert_eq!(settled.take(), []);
    }
}
