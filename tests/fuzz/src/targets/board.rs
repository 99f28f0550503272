//! What stands on the boards: reports, incarnations, retirements, orders.

use schemas::wire;

use super::message;

pub(super) fn run(bytes: &[u8]) {
    for bytes in message::both(bytes) {
        message::round(&bytes, wire::decode_board, |message| wire::encode_board(message).into());
    }
}
