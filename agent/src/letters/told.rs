//! How much of their dead letters the lanes of an agent tell in one report.

use schemas::{DeadLetter, DeadLetters, Exchange};

/// All letters told in one report take about so much: brokers carry messages of 1 MiB.
const LETTERS_BYTES_MAX: usize = 128 * 1_024;
/// One takes so much beside its texts.
const LETTER_BYTES: usize = 150;
/// What caches have answered takes so much more: a report leaves many times a second.
const ANSWERS_BYTES_MAX: usize = 32 * 1_024;

/// Leaves the newest letters of each lane that has some, with their status lines; of what followed those it leaves what
/// belongs to the letters that were tried last.
pub(crate) fn shorten(mut lanes: Vec<&mut DeadLetters>) {
    lanes.retain(|letters| !letters.newest.is_empty());
    let share = LETTERS_BYTES_MAX / lanes.len().max(1);
    for letters in &mut lanes {
        leave_newest(letters, share);
    }
    let letters = lanes.into_iter().flat_map(|letters| &mut letters.newest);
    leave_answers(letters.collect(), ANSWERS_BYTES_MAX);
}

fn leave_newest(letters: &mut DeadLetters, bytes_max: usize) {
    let mut bytes = 0;
    let fits = |letter: &DeadLetter| {
        let status = letter.exchange.as_ref().map_or(0, |exchange| exchange.status().len());
        bytes += LETTER_BYTES + letter.reason.len() + status + letter.selector.to_string().len();
        bytes <= bytes_max
    };
    let told = letters.newest.iter().map(fits).take_while(|fits| *fits).count();
    letters.newest.truncate(told);
}

fn leave_answers(mut letters: Vec<&mut DeadLetter>, bytes_max: usize) {
    letters.sort_unstable_by_key(|letter| std::cmp::Reverse((letter.last_tried, letter.id)));
    let mut bytes = 0;
    for letter in letters {
        let answer = letter.exchange.as_ref().and_then(Exchange::answer);
        bytes += answer.map_or(0, str::len);
        if bytes > bytes_max {
            letter.exchange = letter.exchange.take().map(Exchange::without_answer);
        }
    }
}

#[cfg(test)]
mod tests;
