//! What a broker does not take, and what must not be lost or mixed up under load.

use broker_adapter::{Broker, BrokerError, KafkaConfig, Partition, Start};
use futures::future::join_all;
use tests::servers::kafka::{Kafka as Server, Setup};

use super::{LOG, causes, config, hear, insist, log_name, message, open, say, says};

/// Set apart, so that a topic is not checked for them.
const FITTING: (&str, &str) = ("message.timestamp.type", "LogAppendTime");

#[tokio::test]
async fn too_few_copies_in_step_are_told() {
    let setup = Setup::default().property("min.insync.replicas", "2");
    let server = Server::start_with(setup).await;
    let mut second = server.second().await;
    let broker = open(&KafkaConfig { replicas: 2, ..config(&server.address()) });
    insist(&broker, 0, 0).await;

    second.stop().await;
    let error = loop {
        // Until the cluster has noticed, perhaps nobody answers.
        if let Err(error) = say(&broker, 0, [1]).await
            && !["no connection", "in time"].iter().any(|silence| causes(&error).contains(silence))
        {
            break error;
        }
    };
    assert!(causes(&error).contains("min.insync.replicas"), "{}", causes(&error));
    assert!(matches!(error, BrokerError::Unavailable(_)), "{error:?}");

    second.restart().await;
    insist(&broker, 0, 2).await;
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_alone() {
    let server = Server::shared().await;
    let config = config(&server.address());
    let broker = open(&config);
    for body in [5 << 20, 4_300_000] {
        let large = broker.publish(LOG, Partition(0), vec![message(vec![0; body])]);
        let error = says(large.await, "larger");
        assert!(matches!(error, BrokerError::Refused(_)), "{error:?}");
    }
    say(&broker, 0, [1]).await.unwrap();
    let mut reader = broker.subscribe(LOG, Start::Oldest).await.unwrap();
    assert_eq!(hear(&mut *reader, 1).await, [1]);
}

#[tokio::test]
async fn a_message_larger_than_the_topic_allows_is_refused() {
    let server = Server::shared().await;
    let config = config(&server.address());
    server.create_topic(&log_name(&config), 1, &[FITTING]).await;
    let broker = open(&config);
    // Read first, so that the publisher's own view of the topic is not applied yet.
    broker.bounds(LOG).await.unwrap();
    say(&broker, 0, [0]).await.unwrap();
    server.set_topic(&log_name(&config), "max.message.bytes=1000").await;
    let large: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(2_000).collect();
    let error =
        says(broker.publish(LOG, Partition(0), vec![message(large)]).await, "max.message.bytes");
    assert!(matches!(error, BrokerError::Refused(_)), "{error:?}");
}

#[tokio::test]
async fn many_calls_at_once_keep_their_order_when_the_queue_is_full() {
    const CALLS: u32 = 1_500;
    const EACH: u32 = 100;
    let server = Server::shared().await;
    let config = KafkaConfig { partitions: 2, ..config(&server.address()) };
    let broker = open(&config);
    // Three times what the queue holds, all at once.
    let calls = (0..CALLS).map(|call| say(&broker, call % 2, call * EACH..(call + 1) * EACH));
    for outcome in join_all(calls).await {
        outcome.unwrap();
    }
    let mut reader = broker.subscribe(LOG, Start::Oldest).await.unwrap();
    let heard = hear(&mut *reader, usize::try_from(CALLS * EACH).unwrap()).await;
    for partition in 0..2 {
        let of_partition = heard.iter().filter(|number| *number / EACH % 2 == partition);
        assert!(of_partition.is_sorted_by(|one, next| one < next), "partition {partition}");
    }
}
