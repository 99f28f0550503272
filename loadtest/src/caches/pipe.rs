//! Requests written to a server all at once on one connection, and what of its answers is counted.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest time for all answers.
const ANSWERS_WITHIN: Duration = Duration::from_mins(2);
/// Most read at once.
const READ_BYTES: usize = 64 * 1024;

/// Writes `requests`, of which the last one has the server close the connection, and counts how often each of the
/// `words` comes in the answers.
pub(super) async fn count<const WORDS: usize>(
    address: SocketAddr,
    requests: &[u8],
    words: [&str; WORDS],
) -> anyhow::Result<[u64; WORDS]> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut read, mut write) = stream.split();
    let reading = async {
        let mut counter = Counter { words, counts: [0; WORDS], rest: Vec::new() };
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let length = read.read(&mut buffer).await?;
            if length == 0 {
                return anyhow::Ok(counter.counts);
            }
            counter.take(&buffer[..length]);
        }
    };
    let writing = async { Ok(write.write_all(requests).await?) };
    let both = timeout(ANSWERS_WITHIN, async { tokio::try_join!(reading, writing) });
    let (counts, ()) = both.await.context("the server does not answer all")??;
    Ok(counts)
}

/// Writes each of `parts` on a connection of its own, at the same time; the answers hold `word` so often in all.
pub(super) async fn on_each(
    address: SocketAddr,
    parts: &[Vec<u8>],
    word: &str,
    expected: u64,
) -> anyhow::Result<()> {
    let counts = try_join_all(parts.iter().map(|part| count(address, part, [word]))).await?;
    let counted: u64 = counts.iter().map(|[count]| count).sum();
    ensure!(counted == expected, "{word:?} came {counted} times, and not {expected}");
    Ok(())
}

/// Words in a stream, wherever it is cut.
struct Counter<'words, const WORDS: usize> {
    words: [&'words str; WORDS],
    counts: [u64; WORDS],
    rest: Vec<u8>,
}

impl<const WORDS: usize> Counter<'_, WORDS> {
    fn take(&mut self, bytes: &[u8]) {
        let kept = self.rest.len();
        self.rest.extend_from_slice(bytes);
        for (word, count) in self.words.iter().zip(&mut self.counts) {
            let word = word.as_bytes();
            // What ended within the rest was counted with it.
            let from = (kept + 1).saturating_sub(word.len());
            let found = self.rest[from..].windows(word.len()).filter(|window| *window == word);
            *count += found.count() as u64;
        }
        let longest = self.words.iter().map(|word| word.len()).max().unwrap_or(0);
        let surplus = self.rest.len().saturating_sub(longest.saturating_sub(1));
        self.rest.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_counts_once_wherever_the_stream_is_cut() {
        let text = b"HTTP/1.1 200 a\r\nHTTP/1.1 200 x-version: 2\r\nHTTP/1.1 404";
        for cut in 1..text.len() {
            let words = ["HTTP/1.1 200", "x-version: 2"];
            let mut counter = Counter { words, counts: [0; 2], rest: Vec::new() };
            text.chunks(cut).for_each(|bytes| counter.take(bytes));
            assert_eq!(counter.counts, [2, 1], "cut at {cut}");
        }
    }
}
