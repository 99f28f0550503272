//! Group commit: publishes that come while one commit runs share the next one and its fsync.
//!
//! Whoever finds no commit running starts one: it commits as long as somebody waits, tells each its result, and ends by
//! itself. There is no task of its own to start or stop, and nobody holds a turn: a publish that is dropped, or that
//! nobody attends to, holds up no other.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use redb::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{Log, failure, store};
use crate::{BoxError, BrokerError, Message, Partition, Topic};

/// What may wait for a commit, and what one commit takes.
const WAITING_KIB_MAX: u32 = 64 << 10;
const GROUP_KIB_MAX: usize = 8 << 10;

/// Publishes that wait for a commit, in order of arrival.
#[derive(Debug)]
pub(super) struct Commits {
    waiting: Mutex<Waiting>,
    room: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Waiting {
    publishes: VecDeque<Publish>,
    /// Whether somebody commits them.
    attended: bool,
}

/// One call of `publish`.
#[derive(Debug)]
struct Publish {
    topic: Topic,
    partition: Partition,
    messages: Vec<Message>,
    room: OwnedSemaphorePermit,
    done: oneshot::Sender<Result<(), Arc<Error>>>,
}

impl Default for Commits {
    fn default() -> Self {
        Self { waiting: Mutex::default(), room: Arc::new(Semaphore::new(WAITING_KIB_MAX as usize)) }
    }
}

/// Appends and waits for the fsync.
pub(super) async fn publish(
    log: &Arc<Log>,
    topic: Topic,
    partition: Partition,
    messages: Vec<Message>,
) -> Result<(), BrokerError> {
    let commits = &log.commits;
    let room = Arc::clone(&commits.room)
        .acquire_many_owned(kib(&messages))
        .await
        .map_err(|closed| BrokerError::Unavailable(closed.into()))?;
    let (done, result) = oneshot::channel();
    if commits.wait(Publish { topic, partition, messages, room, done }) {
        let log = Arc::clone(log);
        // It tells its result by `done`: nobody needs to wait for its end.
        drop(tokio::task::spawn_blocking(move || commit_all(&log)));
    }
    match result.await {
        Ok(committed) => committed.map_err(failure::shared_broker_error),
        Err(_) => Err(BrokerError::Unavailable(BoxError::from("the commit was abandoned"))),
    }
}

/// Commits as long as somebody waits.
fn commit_all(log: &Log) {
    let _unattended = Unattended(&log.commits);
    while let Some(group) = log.commits.take_group() {
        commit_group(log, group);
    }
}

/// A commit that panics is abandoned; the next publish starts another.
struct Unattended<'a>(&'a Commits);

impl Drop for Unattended<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            *self.0.waiting.lock() = Waiting::default();
        }
    }
}

fn commit_group(log: &Log, group: Vec<Publish>) {
    let committed = commit(log, &group).map_err(Arc::new);
    if committed.is_ok() {
        let topics: BTreeSet<Topic> = group.iter().map(|publish| publish.topic).collect();
        for topic in topics {
            log.wakes.wake(topic);
        }
    }
    for publish in group {
        if publish.done.send(committed.clone()).is_err() {
            tracing::trace!(topic = %publish.topic, "publisher left before its commit");
        }
    }
}

fn commit(log: &Log, group: &[Publish]) -> Result<(), Error> {
    if group.is_empty() {
        return Ok(());
    }
    let transaction = store::write(&log.database)?;
    for Publish { topic, partition, messages, .. } in group {
        store::append(&transaction, *topic, *partition, messages, (log.now)())?;
    }
    transaction.commit()?;
    Ok(())
}

impl Commits {
    /// Adds one; answers whether the caller shall attend to them.
    fn wait(&self, publish: Publish) -> bool {
        let mut waiting = self.waiting.lock();
        waiting.publishes.push_back(publish);
        !std::mem::replace(&mut waiting.attended, true)
    }

    /// The oldest of those whose caller still waits; none where nobody does, and then nobody attends any more.
    fn take_group(&self) -> Option<Vec<Publish>> {
        let mut waiting = self.waiting.lock();
        let mut group = Vec::new();
        let mut kib = 0;
        while kib < GROUP_KIB_MAX
            && let Some(publish) = waiting.publishes.pop_front()
        {
            if !publish.done.is_closed() {
                kib += publish.room.num_permits();
                group.push(publish);
            }
        }
        waiting.attended = !group.is_empty();
        waiting.attended.then_some(group)
    }
}

/// What a publish takes of the room: at least 1, and never more than there is.
fn kib(messages: &[Message]) -> u32 {
    let bytes: usize = messages.iter().map(|message| message.body.len()).sum();
    let kib = bytes.div_ceil(1024) + messages.len().div_ceil(8);
    u32::try_from(kib).unwrap_or(u32::MAX).clamp(1, WAITING_KIB_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: Topic = Topic::log("critical");

    type Verdict = oneshot::Receiver<Result<(), Arc<Error>>>;

    fn wait(commits: &Commits, partition: u32, kib: usize) -> Verdict {
        let messages = vec![Message { key: None, id: None, body: vec![0; kib << 10].into() }];
        let permits = super::kib(&messages);
        let room = Arc::clone(&commits.room).try_acquire_many_owned(permits).unwrap();
        let (done, result) = oneshot::channel();
        let partition = Partition(partition);
        commits.wait(Publish { topic: TOPIC, partition, messages, room, done });
        result
    }

    fn partitions(group: &[Publish]) -> Vec<u32> {
        group.iter().map(|publish| publish.partition.0).collect()
    }

    #[test]
    fn a_publish_whose_caller_left_is_not_committed() {
        let commits = Commits::default();
        let _stays = wait(&commits, 1, 1);
        drop(wait(&commits, 2, 1));
        let _stays_too = wait(&commits, 3, 1);
        assert_eq!(partitions(&commits.take_group().unwrap()), [1, 3]);
    }

    #[test]
    fn a_group_ends_when_it_is_large_and_gives_its_room_back() {
        let commits = Commits::default();
        let _waiting: Vec<_> =
            (1..=3).map(|partition| wait(&commits, partition, GROUP_KIB_MAX / 2)).collect();
        assert_eq!(partitions(&commits.take_group().unwrap()), [1, 2]);
        assert_eq!(partitions(&commits.take_group().unwrap()), [3]);
        assert_eq!(commits.room.available_permits(), WAITING_KIB_MAX as usize);
    }

    #[test]
    fn one_attends_until_nobody_waits() {
        let commits = Commits::default();
        let publish = || {
            let room = Arc::clone(&commits.room).try_acquire_many_owned(1).unwrap();
            let (done, verdict) = oneshot::channel();
            let partition = Partition::default();
            (Publish { topic: TOPIC, partition, messages: Vec::new(), room, done }, verdict)
        };
        let (first, _first) = publish();
        let (second, _second) = publish();
        assert!(commits.wait(first));
        assert!(!commits.wait(second), "somebody attends already");
        assert_eq!(commits.take_group().unwrap().len(), 2);
        assert!(commits.take_group().is_none());
        let (third, _third) = publish();
        assert!(commits.wait(third), "nobody attends any more");
    }
}
