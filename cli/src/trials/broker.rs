//! The broker: whether it lets us in, and whether a role may do there what it must.

use std::sync::Arc;
use std::time::Duration;

use broker_adapter::{
    Broker, BrokerError, Delivery, Message, Partition, Start, Subscription, Topic, TopicKind,
};
use daemon::Clock;
use futures::future::join_all;
use schemas::wire::Spot;
use schemas::{
    Heartbeat, LogMessage, PUBLISHERS_BOARD, Priority, PublisherName, REPORTS_BOARD, Trust, wire,
};
use tokio::time::{Instant, sleep, timeout};

use super::advice;
use super::{Done, Found, Trial, causes};
use crate::config::{BrokerConfig, Config};
use crate::installation::connect;

/// Longest time until the broker must have let us in.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Longest wait for each answer after that.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Whoever may not read is told so within this time; whoever may need not have anything to read.
const READ_WITHIN: Duration = Duration::from_secs(3);
/// Between two attempts to get in.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// What a role does with a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// It reads it.
    Read,
    /// It reads it and publishes to it.
    ReadAndPublish,
    /// It publishes to it what cannot be tried without meaning something.
    Report,
}

/// How many trials there will be.
pub(super) fn count(config: &Config) -> usize {
    if let BrokerConfig::Embedded(_) = config.broker { 0 } else { 1 + topics(config).len() }
}

/// Tries it; nothing where the log is embedded, which has no other side.
pub(super) async fn run(config: &Config, done: Done<'_>) -> Vec<Trial> {
    if let BrokerConfig::Embedded(_) = config.broker {
        return Vec::new();
    }
    let what = format!("broker {} at {}", config.broker.kind(), config.broker.servers());
    let topics = topics(config);
    let broker = match enter(config, topics[0].0).await {
        Ok(broker) => broker,
        Err(error) => {
            let trial = Trial { what, found: wrong(config, None, &error) };
            let untried = topics.into_iter().map(|(topic, _)| Trial {
                what: named(topic),
                found: Found::NotTried("the broker is not reached".to_owned()),
            });
            return std::iter::once(trial).chain(untried).inspect(|_| done()).collect();
        }
    };
    let entered = Trial { what, found: Found::Fine("lets us in".to_owned()) };
    done();
    let trials = topics.into_iter().map(|(topic, used)| {
        let broker = Arc::clone(&broker);
        async move {
            let tried = try_topic(config, broker.as_ref(), topic, used).await;
            let found = tried.unwrap_or_else(|error| wrong(config, Some(used), &error));
            done();
            Trial { what: named(topic), found }
        }
    });
    [vec![entered], join_all(trials).await].concat()
}

/// All topics, and what the role does with them.
fn topics(config: &Config) -> Vec<(Topic, Use)> {
    let publishes = config.role.publishes();
    let log = if publishes { Use::ReadAndPublish } else { Use::Read };
    let reports = if publishes { Use::Read } else { Use::Report };
    let logs = Priority::ALL.map(|priority| (Topic::log(priority.as_str()), log));
    let boards =
        [(Topic::board(REPORTS_BOARD), reports), (Topic::board(PUBLISHERS_BOARD), Use::Read)];
    logs.into_iter().chain(boards).collect()
}

fn named(topic: Topic) -> String {
    format!("topic {topic}")
}

/// Until the broker says anything about a topic, which it does to those only whom it has let in.
async fn enter(config: &Config, topic: Topic) -> Result<Arc<dyn Broker>, BrokerError> {
    let deadline = Instant::now() + CONNECT_WITHIN;
    let Some(remote) = connect(&config.broker)? else {
        return Err(BrokerError::Refused("the log is embedded".into()));
    };
    let broker = remote.broker();
    loop {
        let Err(error) = in_time(broker.bounds(topic)).await else { return Ok(broker) };
        let trouble = advice::trouble(&causes(&error));
        if trouble.is_behind_the_door() {
            return Ok(broker);
        }
        let hopeless = matches!(error, BrokerError::Refused(_)) || trouble.lasts();
        if hopeless || Instant::now() + AGAIN_AFTER >= deadline {
            return Err(error);
        }
        sleep(AGAIN_AFTER).await;
    }
}

/// What can be done with a topic, or what cannot.
async fn try_topic(
    config: &Config,
    broker: &dyn Broker,
    topic: Topic,
    used: Use,
) -> Result<Found, BrokerError> {
    let partitions = in_time(broker.bounds(topic)).await?.len();
    if used == Use::Report {
        return Ok(Found::Fine(
            "is there; that we may report is seen with the first report".into(),
        ));
    }
    // Of a board only what is there can be read, of a log what is published now.
    let start = if used == Use::ReadAndPublish { Start::Newest } else { Start::Oldest };
    let mut subscription = in_time(broker.subscribe(topic, start)).await?;
    let mut can = "may read";
    if used == Use::ReadAndPublish {
        for partition in 0..config.broker.partitions() {
            let message = heartbeat(config, Spot { topic: topic.name(), partition })?;
            in_time(broker.publish(topic, Partition(partition), vec![message])).await?;
        }
        can = "may read and publish";
    }
    let read = read_one(subscription.as_mut()).await?.is_some();
    if used == Use::Read
        && let Some(found) = disbelieved(config, broker, topic).await?
    {
        return Ok(found);
    }
    let parts = if partitions == 1 { String::new() } else { format!(", {partitions} partitions") };
    Ok(match (read, used) {
        (false, Use::ReadAndPublish) => Found::Wrong {
            cause: format!("what was published did not come back within {READ_WITHIN:?}"),
            fix: None,
        },
        (false, _) => Found::Fine(format!("{can}; there is nothing to read yet{parts}")),
        (true, _) => Found::Fine(format!("{can}{parts}")),
    })
}

/// What came, if something did.
async fn read_one(subscription: &mut dyn Subscription) -> Result<Option<Delivery>, BrokerError> {
    match timeout(READ_WITHIN, subscription.read(1)).await {
        Ok(read) => Ok(read?.pop()),
        Err(_) => Ok(None),
    }
}

/// Why the agent would not believe what is said now on a log; nothing where it would, or where nobody speaks.
async fn disbelieved(
    config: &Config,
    broker: &dyn Broker,
    topic: Topic,
) -> Result<Option<Found>, BrokerError> {
    let trust = &config.signatures.trust;
    if matches!(trust, Trust::Anyone) || topic.kind() == TopicKind::Board {
        return Ok(None);
    }
    let mut subscription = in_time(broker.subscribe(topic, Start::Newest)).await?;
    let Some(delivery) = read_one(subscription.as_mut()).await? else { return Ok(None) };
    let spot = Spot { topic: topic.name(), partition: delivery.partition.0 };
    let believed = wire::verify(&delivery.body, spot, trust);
    Ok(believed.err().map(|error| Found::Wrong {
        cause: format!("what is published there now is {error}"),
        fix: Some(
            "add what `purgebus key public FILE` prints of that publisher's key to \
             agent.trusted_keys_file; where nothing is signed, give the publisher a signing_key_file"
                .to_owned(),
        ),
    }))
}

/// "I live, and have no lines": every agent hears it and has nothing to do.
fn heartbeat(config: &Config, spot: Spot<'_>) -> Result<Message, BrokerError> {
    let name = config.publisher.as_ref().map(|part| part.name.clone());
    let unnamed = || PublisherName::try_from("check".to_owned()).expect("a valid name");
    let heartbeat = Heartbeat {
        publisher: name.unwrap_or_else(unnamed),
        at: Clock::system().now(),
        lines: Vec::new(),
        agents: None,
    };
    let mut body = wire::encode_log(&LogMessage::Heartbeat(heartbeat));
    if let Some(key) = &config.signatures.key {
        body = wire::sign(&body, spot, key).map_err(|error| BrokerError::Refused(error.into()))?;
    }
    Ok(Message { key: None, id: None, body })
}

async fn in_time<T>(
    answer: impl Future<Output = Result<T, BrokerError>>,
) -> Result<T, BrokerError> {
    let late = |_| BrokerError::Unavailable(format!("no answer within {ANSWER_WITHIN:?}").into());
    timeout(ANSWER_WITHIN, answer).await.map_err(late)?
}

fn wrong(config: &Config, used: Option<Use>, error: &BrokerError) -> Found {
    let cause = causes(error);
    let needs = match used {
        Some(Use::ReadAndPublish) => "read it and publish to it",
        Some(Use::Report) => "publish to it",
        Some(Use::Read) | None => "read it",
    };
    let fix = advice::trouble(&cause).fix(config.broker.kind(), needs);
    Found::Wrong { cause, fix }
}
