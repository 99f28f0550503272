//! Topics: created as configured, checked, taken as they are by whoever only reads.

use std::time::Duration;

use broker_adapter::{Broker, BrokerError, KafkaConfig, Message, Partition, Start};
use tests::servers::kafka::Kafka as Server;

use super::{BOARD, LOG, config, hear, log_name, open, say, says};

#[tokio::test]
async fn topics_are_created_as_configured() {
    let server = Server::shared().await;
    let config = KafkaConfig {
        partitions: 3,
        retention: Duration::from_hours(5),
        ..config(&server.address())
    };
    let broker = open(&config);
    say(&broker, 2, [0]).await.unwrap();
    let entry = Message { key: Some("k".to_owned()), id: None, body: "v".into() };
    broker.publish(BOARD, Partition(0), vec![entry]).await.unwrap();

    let log = log_name(&config);
    assert_eq!(server.partitions(&log).await, Some(3));
    for (field, value) in [
        ("message.timestamp.type", "LogAppendTime"),
        ("cleanup.policy", "delete"),
        ("retention.ms", "18000000"),
        ("retention.bytes", "4294967296"),
    ] {
        assert_eq!(server.topic_setting(&log, field).await.as_deref(), Some(value), "{field}");
    }
    let board = format!("{}.{BOARD}", config.prefix);
    assert_eq!(server.partitions(&board).await, Some(1));
    let policy = server.topic_setting(&board, "cleanup.policy").await;
    assert_eq!(policy.as_deref(), Some("compact"));
}

#[tokio::test]
async fn a_topic_that_cannot_work_is_refused_by_field_value_and_fix() {
    let server = Server::shared().await;
    for (setting, wanted) in [
        (("message.timestamp.type", "CreateTime"), "LogAppendTime"),
        (("cleanup.policy", "compact"), "delete"),
    ] {
        let config = config(&server.address());
        let mut settings = vec![("message.timestamp.type", "LogAppendTime")];
        settings.retain(|(field, _)| *field != setting.0);
        settings.push(setting);
        server.create_topic(&log_name(&config), 1, &settings).await;
        let broker = open(&config);
        let (field, value) = setting;
        let said = format!("its {field} is `{value}` and must be `{wanted}`");
        let error = says(say(&broker, 0, [0]).await, &said);
        assert!(matches!(error, BrokerError::Refused(_)), "{error:?}");
        let fix = format!("--entity-name {} --add-config {field}={wanted}", log_name(&config));
        says(broker.subscribe(LOG, Start::Oldest).await, &fix);
    }
}

#[tokio::test]
async fn a_publisher_brings_retention_and_partitions_up_to_date_and_nothing_else() {
    let server = Server::shared().await;
    let config = KafkaConfig { partitions: 2, ..config(&server.address()) };
    let log = log_name(&config);
    let settings = [
        ("message.timestamp.type", "LogAppendTime"),
        ("retention.ms", "1000000000"),
        ("segment.bytes", "7654321"),
    ];
    server.create_topic(&log, 1, &settings).await;

    let reader = open(&config);
    reader.bounds(LOG).await.unwrap();
    let retention = server.topic_setting(&log, "retention.ms").await;
    assert_eq!(retention.as_deref(), Some("1000000000"), "whoever only reads changes nothing");
    assert_eq!(server.partitions(&log).await, Some(1));

    let writer = open(&config);
    say(&writer, 1, [7]).await.unwrap();
    assert_eq!(server.partitions(&log).await, Some(2));
    let week = Duration::from_hours(7 * 24).as_millis().to_string();
    for (field, value) in [
        ("retention.ms", week.as_str()),
        ("segment.bytes", "7654321"),
        ("message.timestamp.type", "LogAppendTime"),
    ] {
        assert_eq!(server.topic_setting(&log, field).await.as_deref(), Some(value), "{field}");
    }
}

#[tokio::test]
async fn a_partition_added_later_is_found_and_read_from_its_oldest() {
    let server = Server::shared().await;
    let config = config(&server.address());
    let broker = open(&config);
    say(&broker, 0, [0]).await.unwrap();
    let mut reader = broker.subscribe(LOG, Start::Oldest).await.unwrap();
    assert_eq!(hear(&mut *reader, 1).await, [0]);

    server.add_partitions(&log_name(&config), 3).await;
    let other = open(&KafkaConfig { partitions: 3, ..config.clone() });
    say(&other, 2, 1..=3).await.unwrap();
    assert_eq!(hear(&mut *reader, 3).await, [1, 2, 3]);
    say(&broker, 0, [4]).await.unwrap();
    assert_eq!(hear(&mut *reader, 1).await, [4]);
}

#[tokio::test]
async fn a_reader_ends_its_thread_when_it_is_dropped() {
    let server = Server::shared().await;
    let topic = broker_adapter::Topic::log("dropped");
    let broker = open(&config(&server.address()));
    let full = vec![super::message(vec![0; 100_000]); 40];
    for _ in 0..5 {
        broker.publish(topic, Partition(0), full.clone()).await.unwrap();
    }
    let threads = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm"));
        tasks
            .filter_map(|task| name(task.unwrap()).ok())
            .filter(|name| name == "kafka-dropped\n")
            .count()
    };
    // One waits for records, one for room in its channel.
    let idle = broker.subscribe(topic, Start::Newest).await.unwrap();
    let mut behind = broker.subscribe(topic, Start::Oldest).await.unwrap();
    behind.read(1).await.unwrap();
    assert_eq!(threads(), 2);

    drop((idle, behind, broker));
    tests::eventually("both threads have ended", async || threads() == 0).await;
}

#[tokio::test]
async fn lag_tools_see_how_far_a_reader_is() {
    let server = Server::shared().await;
    let config = KafkaConfig { group: Some("edge-1".to_owned()), ..config(&server.address()) };
    let broker = open(&config);
    say(&broker, 0, 0..5).await.unwrap();
    let mut reader = broker.subscribe(LOG, Start::Oldest).await.unwrap();
    hear(&mut *reader, 5).await;
    let mut slower = broker
        .subscribe(LOG, Start::At([(Partition(0), broker_adapter::Position(3))].into()))
        .await
        .unwrap();
    hear(&mut *slower, 1).await;

    let log = log_name(&config);
    tests::eventually("both have reached the end", async || {
        server.committed("edge-1", &log, 0).await == Some(5)
    })
    .await;
}
