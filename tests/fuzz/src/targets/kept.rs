//! What an agent keeps: cursors, on disk and inside a Redis, and dead letters in their folder.

use schemas::wire;
use uuid::Uuid;

use super::message;

const TOKEN_BYTES: usize = 16;

pub(super) fn run(bytes: &[u8]) {
    for bytes in message::both(bytes) {
        let cursor = message::round(&bytes, wire::decode_cursor, |cursor| {
            wire::encode_cursor(cursor).into()
        });
        let letter = message::round(&bytes, wire::decode_letter, |letter| {
            wire::encode_letter(letter).into()
        });

        let folder = tempfile::tempdir().expect("a folder");
        let cache = "varnish".parse().expect("a name");
        let shelved = agent::fuzzing::shelf(folder.path(), &cache, &bytes);
        assert_eq!(shelved.expect("a disk"), cursor);
        let name = letter.as_ref().map_or(Uuid::nil(), |kept| kept.letter.id);
        let letters = agent::fuzzing::letters(folder.path(), &cache, name, &bytes);
        assert_eq!(letters.expect("a disk"), letter.into_iter().collect::<Vec<_>>());

        let inside = agent::fuzzing::redis::cursor([&[7; TOKEN_BYTES][..], &bytes].concat());
        assert_eq!(inside.as_deref(), Some(&bytes[..]));
        agent::fuzzing::redis::cursor(bytes);
    }
}
