//! Streams that exist already, servers that are full, and messages that are too large.

use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use broker_adapter::{Broker, BrokerError, NatsConfig, Partition, Start};
use tests::servers::nats::{NEWEST, Nats, OLDEST};

use super::setup::{BOARD, LOG, config, message, open, post, read, refused, say, texts, words};

#[tokio::test]
async fn streams_are_made_as_promised_and_updated_by_who_writes_them() {
    let nats = Nats::start().await;
    let ours = config(&nats);
    let admin = nats.admin().await;
    let log = open(&ours);
    say(&log, "a").await.unwrap();
    post(&log, "x=1").await.unwrap();
    let stream = async |topic: &str| {
        let stream = admin.get_stream(format!("{}-{topic}", ours.prefix)).await.unwrap();
        stream.cached_info().config.clone()
    };
    let (made, board) = (stream("normal").await, stream("reports").await);
    assert_eq!(made.subjects, [format!("{}.normal.*", ours.prefix)]);
    assert_eq!((made.storage, made.retention), (StorageType::File, RetentionPolicy::Limits));
    assert_eq!((made.discard, made.num_replicas), (DiscardPolicy::Old, 1));
    assert_eq!((made.max_age, made.max_bytes), (ours.retention, 64 << 20));
    assert_eq!((made.duplicate_window, made.max_consumers), (Duration::from_mins(2), 100_000));
    assert_eq!((board.max_messages_per_subject, board.max_age), (1, Duration::ZERO));

    let other = NatsConfig { retention: Duration::from_hours(1), ..ours.clone() };
    let other = open(&other);
    drop(other.subscribe(LOG, Start::Oldest).await.unwrap());
    assert_eq!(stream("normal").await.max_age, ours.retention, "a reader decides nothing");
    say(&other, "b").await.unwrap();
    assert_eq!(stream("normal").await.max_age, Duration::from_hours(1));
}

#[tokio::test]
async fn a_stream_for_few_readers_is_raised_where_the_server_can_and_used_where_not() {
    for version in [NEWEST, OLDEST] {
        let nats = Nats::start_with(version, "").await;
        let ours = config(&nats);
        let few = Config {
            name: format!("{}-normal", ours.prefix),
            subjects: vec![format!("{}.normal.*", ours.prefix)],
            max_consumers: 1,
            ..Config::default()
        };
        nats.admin().await.create_stream(few).await.unwrap();
        let log = open(&ours);
        say(&log, "a").await.unwrap();
        let mut reader = log.subscribe(LOG, Start::Oldest).await.unwrap();
        read(&mut *reader, 1).await;
        match log.subscribe(LOG, Start::Oldest).await {
            Ok(_) => assert_eq!(version, NEWEST),
            Err(error) => {
                let said = words(&error);
                assert!(matches!(error, BrokerError::Unavailable(_)), "{said}");
                assert!(version == OLDEST && said.contains("maximum consumers"), "{said}");
            }
        }
    }
}

#[tokio::test]
async fn a_stream_of_another_kind_is_refused_by_the_name_of_the_field() {
    let nats = Nats::start().await;
    let admin = nats.admin().await;
    for (field, is, change) in [
        ("storage", "memory", Config { storage: StorageType::Memory, ..Config::default() }),
        (
            "retention",
            "workqueue",
            Config { retention: RetentionPolicy::WorkQueue, ..Config::default() },
        ),
        ("discard", "new", Config { discard: DiscardPolicy::New, ..Config::default() }),
        ("max_msgs_per_subject", "5", Config { max_messages_per_subject: 5, ..Config::default() }),
        ("max_msgs", "9", Config { max_messages: 9, ..Config::default() }),
        ("subjects", "other", Config { subjects: vec!["other".into()], ..Config::default() }),
        ("no_ack", "true", Config { no_ack: true, ..Config::default() }),
    ] {
        let ours = config(&nats);
        let name = format!("{}-normal", ours.prefix);
        let mut theirs = Config { name: name.clone(), ..change };
        if theirs.subjects.is_empty() {
            theirs.subjects = vec![format!("{}.normal.*", ours.prefix)];
        } else {
            theirs.subjects = vec![format!("{}.other", ours.prefix)];
        }
        admin.create_stream(theirs).await.unwrap();
        let log = open(&ours);
        for said in [
            refused(&say(&log, "a").await.unwrap_err()),
            refused(&log.subscribe(LOG, Start::Oldest).await.unwrap_err()),
        ] {
            let wanted = [name.as_str(), &format!("{field} = "), is, "broker.prefix"];
            assert!(wanted.iter().all(|one| said.contains(one)), "{field}: {said}");
        }
    }
}

#[tokio::test]
async fn subjects_of_another_stream_are_refused_by_name() {
    let nats = Nats::start().await;
    let ours = config(&nats);
    let greedy = Config {
        name: "greedy".to_owned(),
        subjects: vec![format!("{}.>", ours.prefix)],
        ..Config::default()
    };
    nats.admin().await.create_stream(greedy).await.unwrap();
    let said = refused(&say(&open(&ours), "a").await.unwrap_err());
    assert!(said.contains("overlap"), "{said}");
}

#[tokio::test]
async fn what_another_stream_took_does_not_count_as_published() {
    let nats = Nats::start().await;
    let ours = config(&nats);
    for (name, partition) in [(format!("{}-normal", ours.prefix), 0), ("other".to_owned(), 1)] {
        let subjects = vec![format!("{}.normal.{partition}", ours.prefix)];
        let listed = Config { name, subjects, ..Config::default() };
        nats.admin().await.create_stream(listed).await.unwrap();
    }
    let log = open(&ours);
    say(&log, "a").await.unwrap();
    let elsewhere = log.publish(LOG, Partition(1), vec![message("b")]).await.unwrap_err();
    let said = refused(&elsewhere);
    assert!(said.contains("taken by the stream other"), "{said}");
}

#[tokio::test]
async fn three_copies_on_a_single_server_are_refused() {
    let nats = Nats::start().await;
    let log = open(&NatsConfig { replicas: 3, ..config(&nats) });
    let said = refused(&say(&log, "a").await.unwrap_err());
    assert!(said.contains("replicas"), "{said}");
}

#[tokio::test]
async fn a_full_server_is_unavailable_and_says_that_it_has_no_room() {
    let nats = Nats::start_with(NEWEST, "jetstream { max_file_store: 20MB }").await;
    let says_no_room = |error: BrokerError| {
        let said = words(&error);
        assert!(matches!(error, BrokerError::Unavailable(_)), "{said}");
        assert!(said.contains("no room") && said.contains("retention_bytes"), "{said}");
    };
    // More than there is, set aside from the start.
    says_no_room(say(&open(&config(&nats)), "a").await.unwrap_err());

    // Nothing set aside, and then no room for what comes.
    let ours = config(&nats);
    let stream = Config {
        name: format!("{}-normal", ours.prefix),
        subjects: vec![format!("{}.normal.*", ours.prefix)],
        ..Config::default()
    };
    nats.admin().await.create_stream(stream.clone()).await.unwrap();
    let log = open(&NatsConfig { retention_bytes: "19MB".parse().unwrap(), ..ours.clone() });
    say(&log, "a").await.unwrap();
    nats.admin().await.update_stream(Config { max_bytes: -1, ..stream }).await.unwrap();
    let large = "x".repeat(1 << 20);
    let mut outcome = Ok(());
    for _ in 0..40 {
        outcome = say(&log, &large).await;
        if outcome.is_err() {
            break;
        }
    }
    says_no_room(outcome.unwrap_err());
    let mut reader = log.subscribe(LOG, Start::Oldest).await.unwrap();
    assert_eq!(texts(&read(&mut *reader, 1).await), ["a"], "what was taken is kept");
}

#[tokio::test]
async fn a_message_beyond_the_servers_limit_is_refused_and_the_connection_stays() {
    let nats = Nats::start_with(NEWEST, "max_payload: 10KB").await;
    let log = open(&config(&nats));
    say(&log, "a").await.unwrap();
    let said = refused(&say(&log, &"x".repeat(11_000)).await.unwrap_err());
    assert!(said.contains("max_payload") && said.contains("11000"), "{said}");
    say(&log, "b").await.unwrap();
}

#[tokio::test]
async fn an_account_without_jetstream_is_named() {
    let accounts = "accounts { A: { jetstream: enabled, users: [ { user: a, password: a } ] }
                               B: { users: [ { user: b, password: b } ] } }";
    let nats = Nats::start_with(NEWEST, accounts).await;
    let user = |name: &str| NatsConfig {
        user: Some(name.to_owned()),
        password: Some(name.into()),
        ..config(&nats)
    };
    say(&open(&user("a")), "a").await.unwrap();
    let error = say(&open(&user("b")), "a").await.unwrap_err();
    let said = words(&error);
    assert!(matches!(error, BrokerError::Unavailable(_)), "{said}");
    assert!(said.contains("JetStream is not enabled"), "{said}");
}

#[tokio::test]
async fn partitions_are_subjects_and_foreign_ones_are_passed() {
    let nats = Nats::start().await;
    let ours = config(&nats);
    let wide = open(&NatsConfig { partitions: 3, ..ours.clone() });
    let admin = nats.admin().await;
    wide.publish(LOG, Partition(2), vec![message("two")]).await.unwrap();
    let foreign = format!("{}.normal.x", ours.prefix);
    admin.publish(foreign, "foreign".into()).await.unwrap().await.unwrap();
    wide.publish(LOG, Partition(0), vec![message("zero")]).await.unwrap();
    // One who knows of one partition hears all the same.
    let log = open(&ours);
    let mut reader = log.subscribe(LOG, Start::Oldest).await.unwrap();
    let got = read(&mut *reader, 2).await;
    assert_eq!(texts(&got), ["two", "zero"]);
    assert_eq!([got[0].partition, got[1].partition], [Partition(2), Partition(0)]);
    assert_eq!(log.bounds(LOG).await.unwrap().len(), 2);
    assert_eq!(wide.bounds(LOG).await.unwrap().len(), 3);
}

#[tokio::test]
async fn keys_of_a_board_may_be_any_text() {
    let nats = Nats::start().await;
    let log = open(&config(&nats));
    let keys = ["plain", "eu.west/a b", "ünïcode", "*", ">", ""];
    for key in keys {
        let message = broker_adapter::Message { key: Some(key.to_owned()), ..message(key) };
        log.publish(BOARD, Partition(0), vec![message]).await.unwrap();
    }
    let mut reader = log.subscribe(BOARD, Start::Oldest).await.unwrap();
    let got = read(&mut *reader, keys.len()).await;
    let got: Vec<&str> = got.iter().map(|one| one.key.as_deref().unwrap()).collect();
    assert_eq!(got, keys);
    let nameless = log.publish(BOARD, Partition(0), vec![message("a")]).await.unwrap_err();
    assert!(refused(&nameless).contains("without a key"));
}
