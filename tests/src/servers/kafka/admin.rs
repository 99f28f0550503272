//! What an operator does to topics.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::{Kafka, jars};
use crate::eventually;

/// Longest wait for one answer.
const ANSWER_WAIT: Duration = Duration::from_secs(20);

/// By its plain listener.
impl Kafka {
    /// Creates a topic with one copy of each partition, and waits until it is there.
    ///
    /// # Panics
    /// When Kafka refuses.
    pub async fn create_topic(&self, name: &str, partitions: i32, config: &[(&str, &str)]) {
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        topic.config = config.to_vec();
        let answers = self.admin().create_topics([&topic], &options()).await;
        done(answers.expect("an answer"));
        eventually("the topic is there", async || {
            self.partitions(name).await == usize::try_from(partitions).ok()
        })
        .await;
    }

    /// Deletes a topic, and waits until it is gone; another of its name may be there by then.
    ///
    /// # Panics
    /// When Kafka refuses.
    pub async fn delete_topic(&self, name: &str) {
        let before = self.topic_id(name).await.expect("a topic");
        let answers = self.admin().delete_topics(&[name], &options()).await;
        done(answers.expect("an answer"));
        eventually("the topic is gone", async || {
            self.topic_id(name).await.as_ref() != Some(&before)
        })
        .await;
    }

    /// What tells a topic from others that bear its name before or after, `None` if there is no such topic.
    async fn topic_id(&self, name: &str) -> Option<String> {
        let arguments = ["--describe", "--if-exists", "--topic", name];
        let told = self.tool("org.apache.kafka.tools.TopicCommand", &arguments).await;
        let mut words = told.split_whitespace().skip_while(|word| *word != "TopicId:");
        words.nth(1).map(str::to_owned)
    }

    /// Adds partitions, up to this many, and waits until they are there.
    ///
    /// # Panics
    /// When Kafka refuses.
    pub async fn add_partitions(&self, topic: &str, partitions: usize) {
        let wanted = NewPartitions::new(topic, partitions);
        done(self.admin().create_partitions([&wanted], &options()).await.expect("an answer"));
        eventually("the partitions are there", async || {
            self.partitions(topic).await == Some(partitions)
        })
        .await;
    }

    /// Removes the records of a partition that lie before `offset`, as retention does; all of them where it is `None`.
    ///
    /// # Panics
    /// When Kafka refuses.
    pub async fn delete_records(&self, topic: &str, partition: i32, offset: Option<i64>) {
        let mut list = TopicPartitionList::new();
        let offset = offset.map_or(Offset::End, Offset::Offset);
        list.add_partition_offset(topic, partition, offset).expect("an offset");
        let answers = self.admin().delete_records(&list, &options()).await.expect("an answer");
        for element in answers.elements() {
            element.error().expect("removed");
        }
    }

    /// Names of all topics but Kafka's own.
    ///
    /// # Panics
    /// When Kafka does not answer.
    pub async fn topics(&self) -> Vec<String> {
        let consumer: BaseConsumer = self.client().create().expect("a client");
        let ask = move || consumer.fetch_metadata(None, ANSWER_WAIT);
        let metadata = tokio::task::spawn_blocking(ask).await.expect("no panic").expect("metadata");
        let names = metadata.topics().iter().map(|topic| topic.name().to_owned());
        names.filter(|name| !name.starts_with("__")).collect()
    }

    /// How many partitions a topic has, `None` if there is no such topic.
    ///
    /// # Panics
    /// When Kafka does not answer.
    pub async fn partitions(&self, topic: &str) -> Option<usize> {
        let consumer: BaseConsumer = self.client().create().expect("a client");
        let name = topic.to_owned();
        let ask = move || consumer.fetch_metadata(Some(&name), ANSWER_WAIT);
        let metadata = tokio::task::spawn_blocking(ask).await.expect("no panic").expect("metadata");
        let topic = metadata.topics().first().filter(|topic| topic.error().is_none())?;
        Some(topic.partitions().len())
    }

    /// The settings of a topic that differ from Kafka's defaults or matter to us.
    ///
    /// # Panics
    /// When Kafka does not answer.
    pub async fn topic_setting(&self, topic: &str, name: &str) -> Option<String> {
        let resource = rdkafka::admin::ResourceSpecifier::Topic(topic);
        let answers = self.admin().describe_configs([&resource], &options()).await;
        let answer = answers.expect("an answer").remove(0).expect("a topic");
        answer.get(name).and_then(|entry| entry.value.clone())
    }

    /// Changes a setting of a topic: `retention.ms=1000`.
    ///
    /// # Panics
    /// When Kafka refuses.
    pub async fn set_topic(&self, topic: &str, setting: &str) {
        let entity = ["--entity-type", "topics", "--entity-name", topic];
        let arguments = [&["--alter", "--add-config", setting][..], &entity].concat();
        self.tool("kafka.admin.ConfigCommand", &arguments).await;
    }

    /// The position that a consumer group has committed.
    ///
    /// # Panics
    /// When Kafka does not answer.
    pub async fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        let mut config = self.client();
        let consumer: BaseConsumer = config.set("group.id", group).create().expect("a client");
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, partition);
        let ask = move || consumer.committed_offsets(list, ANSWER_WAIT);
        let answer = tokio::task::spawn_blocking(ask).await.expect("no panic").expect("an answer");
        answer
            .elements()
            .first()
            .and_then(|element| element.offset().to_raw())
            .filter(|at| *at >= 0)
    }

    /// Runs one of Kafka's command-line tools against the plain listener and returns what it printed: its Java class
    /// and its arguments.
    ///
    /// # Panics
    /// When it fails; with what it printed.
    pub async fn tool(&self, class: &str, arguments: &[&str]) -> String {
        let address = self.address();
        let mut all = vec!["--bootstrap-server", &address];
        all.extend(arguments);
        jars::run(&jars::installed().await, class, &all).await
    }

    /// Allows operations by an access rule, for a server set up with them: `["--topic", "t", "--operation", "Read"]`.
    ///
    /// # Panics
    /// When Kafka refuses.
    pub async fn allow(&self, user: &str, rule: &[&str]) {
        let principal = format!("User:{user}");
        let mut arguments = vec!["--add", "--allow-principal", &principal];
        arguments.extend(rule);
        self.tool("org.apache.kafka.tools.AclCommand", &arguments).await;
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().expect("a client")
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ANSWER_WAIT)).operation_timeout(Some(ANSWER_WAIT))
}

fn done(answers: Vec<Result<String, (String, rdkafka::types::RDKafkaErrorCode)>>) {
    for answer in answers {
        answer.expect("done");
    }
}
