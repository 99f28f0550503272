//! An idle topic must not be slower than the client library is: from publish to read, beside a raw client with the
//! same settings for latency, in turns.

use std::time::Duration;

use broker_adapter::{Broker, Start};
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};
use tests::servers::kafka::Kafka as Server;
use tokio::time::{Instant, sleep};

use super::{LOG, config, hear, open, say};

const ROUNDS: usize = 60;
/// Long enough for a reader to wait for the next record.
const IDLE: Duration = Duration::from_millis(15);

#[tokio::test]
async fn an_idle_log_is_at_most_thrice_as_slow_as_the_raw_client() {
    let server = Server::shared().await;
    let broker = open(&config(&server.address()));
    say(&broker, 0, [0]).await.unwrap();
    let mut ours = broker.subscribe(LOG, Start::Newest).await.unwrap();

    server.create_topic("raw-latency", 1, &[("message.timestamp.type", "LogAppendTime")]).await;
    let mut settings = server.client();
    settings.set("enable.idempotence", "true").set("linger.ms", "0").set("group.id", "raw-latency");
    let producer: FutureProducer = settings.create().unwrap();
    let consumer: StreamConsumer = settings.create().unwrap();
    let mut start = TopicPartitionList::new();
    start.add_partition_offset("raw-latency", 0, Offset::Beginning).unwrap();
    consumer.assign(&start).unwrap();

    let (mut our_times, mut raw_times) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        sleep(IDLE).await;
        let began = Instant::now();
        let (said, _) = tokio::join!(say(&broker, 0, [1]), hear(&mut *ours, 1));
        said.unwrap();
        let our_time = began.elapsed();

        sleep(IDLE).await;
        let began = Instant::now();
        let record = FutureRecord::<(), _>::to("raw-latency").partition(0).payload("1");
        let (sent, received) =
            tokio::join!(producer.send(record, Duration::from_secs(10)), consumer.recv());
        sent.unwrap();
        received.unwrap();
        let raw_time = began.elapsed();

        // The first ones connect.
        if round >= ROUNDS / 4 {
            our_times.push(our_time);
            raw_times.push(raw_time);
        }
    }
    let (ours, raw) = (median(our_times), median(raw_times));
    println!("publish to read on an idle topic: ours {ours:?}, raw {raw:?}");
    assert!(ours <= raw * 3, "ours {ours:?}, raw {raw:?}");
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
