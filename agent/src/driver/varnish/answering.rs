//! Reads answers off a connection within limits; of their bodies only the beginning of an error is kept.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::answer::{self, Answer, Body};
use super::connection::ExchangeError;
use super::words::Words;

/// Longest body of an answer.
const BODY_BYTES_MAX: u64 = 1024 * 1024;
/// Room made for each read; a purge is answered in about 200 bytes.
const READ_BYTES: usize = 8 * 1024;

/// The answers of one exchange.
pub(super) struct Answering<'connection, Read> {
    pub(super) read: Read,
    pub(super) unread: &'connection mut BytesMut,
}

impl<Read: AsyncRead + Unpin> Answering<'_, Read> {
    pub(super) async fn next(&mut self, to_head: bool) -> Result<Answer, ExchangeError> {
        let (mut answer, mut words) = loop {
            if let Some((answer, length)) = answer::parse(self.unread, to_head)? {
                let head = &self.unread[..length];
                let words = if answer.is_error() { Words::of(head) } else { Words::none() };
                self.unread.advance(length);
                break (answer, words);
            }
            self.more().await?;
        };
        match answer.body {
            Body::Length(length) => self.drain(length, &mut words).await?,
            Body::Chunked => self.drain_chunks(&mut words).await?,
            Body::UntilClose => {
                words.hear(self.unread);
                answer.closes = true;
            }
        }
        answer.exchange = words.exchange();
        Ok(answer)
    }

    async fn more(&mut self) -> Result<(), ExchangeError> {
        self.unread.reserve(READ_BYTES);
        match self.read.read_buf(self.unread).await {
            Ok(0) => Err(ExchangeError::Closed(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(()),
            Err(error) => Err(ExchangeError::Closed(error)),
        }
    }

    async fn drain(&mut self, length: u64, words: &mut Words) -> Result<(), ExchangeError> {
        if length > BODY_BYTES_MAX {
            return Err(ExchangeError::TooLong("body"));
        }
        let mut left = length;
        loop {
            let here = self.unread.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            words.hear(&self.unread[..here]);
            self.unread.advance(here);
            left -= here as u64;
            if left == 0 {
                return Ok(());
            }
            self.more().await?;
        }
    }

    async fn drain_chunks(&mut self, words: &mut Words) -> Result<(), ExchangeError> {
        let mut total = 0;
        loop {
            let size = match httparse::parse_chunk_size(self.unread) {
                Ok(httparse::Status::Complete((length, size))) => {
                    self.unread.advance(length);
                    size
                }
                Ok(httparse::Status::Partial) if self.unread.len() < answer::HEAD_BYTES_MAX => {
                    self.more().await?;
                    continue;
                }
                _ => return Err(ExchangeError::Unexpected("a broken chunk")),
            };
            total += size.min(BODY_BYTES_MAX + 1);
            if total > BODY_BYTES_MAX {
                return Err(ExchangeError::TooLong("body"));
            }
            self.drain(size, words).await?;
            // The line end behind each chunk; behind the last, trailers would be read as garbage.
            self.drain(2, &mut Words::none()).await?;
            if size == 0 {
                return Ok(());
            }
        }
    }
}
