//! Any message with its encoder, and all decoders at once.

use schemas::wire::{self, WireError};
use schemas::{BoardMessage, Cursor, KeptLetter, LogMessage};

/// Whatever has an envelope.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Message {
    Log(LogMessage),
    Board(BoardMessage),
    Cursor(Cursor),
    Letter(Box<KeptLetter>),
}

impl Message {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Log(message) => wire::encode_log(message),
            Self::Board(message) => wire::encode_board(message),
            Self::Cursor(cursor) => wire::encode_cursor(cursor),
            Self::Letter(letter) => wire::encode_letter(letter),
        }
        .into()
    }
}

/// What the log, the board, the cursor's shelf and the dead letters' folder say to these bytes.
pub(crate) fn decode_everywhere(bytes: &[u8]) -> [Result<Message, WireError>; 4] {
    [
        wire::decode_log(bytes).map(Message::Log),
        wire::decode_board(bytes).map(Message::Board),
        wire::decode_cursor(bytes).map(Message::Cursor),
        wire::decode_letter(bytes).map(|letter| Message::Letter(Box::new(letter))),
    ]
}

/// The one message that these bytes are; else why they are none.
pub(crate) fn decode(bytes: &[u8]) -> Result<Message, Vec<WireError>> {
    let mut errors = Vec::new();
    for answer in decode_everywhere(bytes) {
        match answer {
            Ok(message) => return Ok(message),
            Err(error) => errors.push(error),
        }
    }
    Err(errors)
}

/// Why none of the decoders took the body of these bytes.
pub(crate) fn invalid(bytes: &[u8]) -> String {
    match decode(bytes) {
        Ok(message) => panic!("was taken for {message:?}"),
        Err(errors) => errors
            .into_iter()
            .find_map(|error| match error {
                WireError::Invalid(reason) => Some(reason),
                WireError::Malformed(_) | WireError::Unknown { .. } | WireError::Distrusted(_) => {
                    None
                }
            })
            .expect("a body that was looked into"),
    }
}
