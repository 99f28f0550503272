//! Whom an agent believes, on the log and on the board of publishers.

use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{Delivery, Topic};
use parking_lot::RwLock;
use schemas::Trust;
use schemas::wire::{self, Spot, WireError};
use tokio::time::Instant;

/// A message that was not believed is told of for so long.
const TOLD_FOR: Duration = Duration::from_secs(10);

/// What to do about a key that is not known.
const FIX: &str = "; if it is a publisher's, add what `purgebus key public FILE` prints there to \
                   agent.trusted_keys_file, and reload this agent";

/// Whom an agent believes; others may follow while it runs. At first, anyone. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct TrustBook(Arc<RwLock<Arc<Trust>>>);

impl TrustBook {
    /// From now on these are believed, and nobody else.
    pub fn replace(&self, trust: Trust) {
        *self.0.write() = Arc::new(trust);
    }

    /// Whether what was delivered from that topic may be believed.
    pub(crate) fn verify(&self, topic: Topic, delivery: &Delivery) -> Result<(), WireError> {
        let trust = Arc::clone(&self.0.read());
        let spot = Spot { topic: topic.name(), partition: delivery.partition.0 };
        wire::verify(&delivery.body, spot, &trust)
    }
}

/// What was not believed of late.
#[derive(Debug, Default)]
pub(crate) struct Distrusted(Option<(Instant, String)>);

impl Distrusted {
    /// Remembers an error, if it is of that kind.
    pub(crate) fn note(&mut self, error: &WireError) {
        if let WireError::Distrusted(why) = error {
            let fix = if let wire::Distrust::UnknownKey(_) = why { FIX } else { "" };
            let told = format!("a message of the log is not believed: {why}{fix}");
            self.0 = Some((Instant::now(), told));
        }
    }

    /// What to tell of it.
    pub(crate) fn trouble(&self) -> Option<String> {
        let (at, what) = self.0.as_ref()?;
        (at.elapsed() < TOLD_FOR).then(|| what.clone())
    }
}

/// The word in metrics for a message that was not understood, or not believed.
pub(crate) fn word(error: &WireError) -> &'static str {
    use wire::Distrust::{UnknownKey, Unsigned, WrongSignature};
    match error {
        WireError::Malformed(_) => "malformed",
        WireError::Unknown { .. } => "unknown",
        WireError::Invalid(_) => "invalid",
        WireError::Distrusted(Unsigned) => "unsigned",
        WireError::Distrusted(UnknownKey(_)) => "unknown_key",
        WireError::Distrusted(WrongSignature) => "wrong_signature",
    }
}

#[cfg(test)]
mod tests {
    use broker_adapter::{Partition, Position};
    use bytes::Bytes;
    use jiff::Timestamp;
    use schemas::{LineId, LogMessage, Lost, NumberRange, SigningKey};

    use super::*;

    const NORMAL: Topic = Topic::log("normal");

    fn delivery(partition: u32, body: Bytes) -> Delivery {
        let (position, time) = (Position(7), Timestamp::UNIX_EPOCH);
        Delivery { partition: Partition(partition), position, time, key: None, body }
    }

    fn signed(key: &SigningKey) -> Delivery {
        let body = wire::encode_log(&LogMessage::Lost(Lost {
            publisher: "publisher-1".parse().unwrap(),
            line: LineId::random(),
            numbers: NumberRange { first: 1, last: 2 },
        }));
        let spot = Spot { topic: "normal", partition: 3 };
        delivery(3, wire::sign(&body, spot, key).unwrap())
    }

    fn keys(keys: &[&SigningKey]) -> Trust {
        let lines: Vec<_> = keys.iter().map(|key| key.public().to_string()).collect();
        Trust::Keys(lines.join("\n").parse().unwrap())
    }

    fn verdict(book: &TrustBook, topic: Topic, delivery: &Delivery) -> &'static str {
        book.verify(topic, delivery).map_or_else(|error| word(&error), |()| "believed")
    }

    #[test]
    fn a_publisher_changes_its_key_without_a_word_being_lost() {
        let [old, new] = [(); 2].map(|()| SigningKey::generate().unwrap());
        let book = TrustBook::default();
        assert_eq!(verdict(&book, NORMAL, &signed(&old)), "believed", "by default, anyone is");
        for (trusted, of_old, of_new) in [
            (vec![&old], "believed", "unknown_key"),
            (vec![&old, &new], "believed", "believed"),
            (vec![&new], "unknown_key", "believed"),
        ] {
            book.clone().replace(keys(&trusted));
            let verdicts = [&old, &new].map(|key| verdict(&book, NORMAL, &signed(key)));
            assert_eq!(verdicts, [of_old, of_new]);
        }
    }

    #[test]
    fn a_message_is_believed_only_where_it_was_delivered_from() {
        let key = SigningKey::generate().unwrap();
        let book = TrustBook::default();
        book.replace(keys(&[&key]));
        let genuine = signed(&key);
        assert_eq!(verdict(&book, NORMAL, &genuine), "believed");
        let moved = delivery(4, genuine.body.clone());
        assert_eq!(verdict(&book, NORMAL, &moved), "wrong_signature");
        assert_eq!(verdict(&book, Topic::log("critical"), &genuine), "wrong_signature");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_believed_is_told_for_a_while() {
        let mut distrusted = Distrusted::default();
        distrusted.note(&WireError::Malformed("short"));
        assert_eq!(distrusted.trouble(), None);
        distrusted.note(&wire::Distrust::Unsigned.into());
        let told = "a message of the log is not believed: nobody has signed it";
        assert_eq!(distrusted.trouble().as_deref(), Some(told));
        tokio::time::advance(TOLD_FOR).await;
        assert_eq!(distrusted.trouble(), None);

        let id = SigningKey::generate().unwrap().public().id();
        distrusted.note(&wire::Distrust::UnknownKey(id).into());
        let told = distrusted.trouble().unwrap();
        let key = format!("signed with the key {id}, which is not among the trusted keys; ");
        assert!(told.contains(&key) && told.contains("purgebus key public"), "{told}");
    }
}
