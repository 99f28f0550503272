//! What stands on the log: frames, heartbeats, losses.

use schemas::LogMessage;
use schemas::wire::{self, LogDecoder};

use super::message;

pub(super) fn run(bytes: &[u8]) {
    let mut decoder = LogDecoder::default();
    for bytes in message::both(bytes) {
        let understood =
            message::round(&bytes, wire::decode_log, |message| wire::encode_log(message).into());
        // A decoder that has seen something before understands the same.
        assert_eq!(decoder.decode(&bytes).ok(), understood);
        if let Some(LogMessage::Frame(frame)) = &understood {
            let encoded = wire::encode_log(&LogMessage::Frame(frame.clone()));
            assert_eq!(wire::frame_bytes(frame), encoded.len());
        }
    }
}
