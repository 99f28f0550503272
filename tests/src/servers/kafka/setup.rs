//! What a Kafka is told beside the plain listener.

use std::fmt::Write as _;
use std::path::Path;

/// How a listener is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Neither TLS nor a password.
    Plaintext,
    /// A password, no TLS.
    SaslPlaintext,
    /// TLS.
    Ssl,
    /// A password over TLS.
    SaslSsl,
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslSsl => "SASL_SSL",
        }
    }
}

/// Further listeners, users and properties.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    pub(super) listeners: Vec<(String, Protocol)>,
    pub(super) scram: Vec<String>,
    lines: String,
    pub(super) works_hard: bool,
    /// The controller that a further broker takes part under; by default the broker is its own controller.
    pub(super) under: Option<u16>,
}

impl Setup {
    /// Adds a line of server.properties.
    #[must_use]
    pub fn property(mut self, name: &str, value: &str) -> Self {
        writeln!(self.lines, "{name}={value}").expect("a string takes it");
        self
    }

    /// It is measured: it starts more slowly, and is faster after a while.
    #[must_use]
    pub fn works_hard(self) -> Self {
        Self { works_hard: true, ..self }
    }

    /// Adds a listener; its name is upper-case, its own properties begin with `listener.name.` and that name in
    /// lower case.
    #[must_use]
    pub fn listener(mut self, name: &str, protocol: Protocol) -> Self {
        self.listeners.push((name.to_owned(), protocol));
        self
    }

    /// Lets these users, each with its password, in at this listener with SASL PLAIN and SCRAM.
    #[must_use]
    pub fn users(mut self, listener: &str, users: &[(&str, &str)]) -> Self {
        let listener = listener.to_lowercase();
        let mut plain =
            "org.apache.kafka.common.security.plain.PlainLoginModule required".to_owned();
        for (user, password) in users {
            write!(plain, " user_{user}=\"{password}\"").expect("a string takes it");
            for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
                self.scram.push(format!("{mechanism}=[name={user},password={password}]"));
            }
        }
        let prefix = format!("listener.name.{listener}");
        let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
        self.property(
            &format!("{prefix}.sasl.enabled.mechanisms"),
            "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        )
        .property(&format!("{prefix}.plain.sasl.jaas.config"), &format!("{plain};"))
        .property(&format!("{prefix}.scram-sha-256.sasl.jaas.config"), scram)
        .property(&format!("{prefix}.scram-sha-512.sasl.jaas.config"), scram)
    }

    /// Lets users do only what access rules allow; whoever comes by the plain listener may do everything.
    #[must_use]
    pub fn access_rules(self) -> Self {
        self.property(
            "authorizer.class.name",
            "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        )
        .property("super.users", "User:ANONYMOUS")
    }

    /// server.properties, with the ports of the controller and then of each further listener.
    pub(super) fn properties(&self, folder: &Path, port: u16, ports: &[u16]) -> String {
        let (controller, further) = ports.split_first().expect("at least the controller's");
        let mut listeners = format!("PLAINTEXT://127.0.0.1:{port}");
        let mut protocols = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned();
        for ((name, protocol), port) in self.listeners.iter().zip(further) {
            write!(listeners, ",{name}://127.0.0.1:{port}").expect("a string takes it");
            write!(protocols, ",{name}:{}", protocol.name()).expect("a string takes it");
        }
        let (role, all_listeners, controller) = match self.under {
            None => {
                let all = format!("{listeners},CONTROLLER://127.0.0.1:{controller}");
                ("process.roles=broker,controller\nnode.id=1", all, *controller)
            }
            Some(controller) => ("process.roles=broker\nnode.id=2", listeners.clone(), controller),
        };
        format!(
            "{role}\n\
             listeners={all_listeners}\n\
             advertised.listeners={listeners}\n\
             listener.security.protocol.map={protocols}\n\
             inter.broker.listener.name=PLAINTEXT\n\
             controller.listener.names=CONTROLLER\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\n\
             log.dirs={data}\n\
             offsets.topic.replication.factor=1\n\
             offsets.topic.num.partitions=1\n\
             transaction.state.log.replication.factor=1\n\
             transaction.state.log.min.isr=1\n\
             group.initial.rebalance.delay.ms=0\n\
             broker.heartbeat.interval.ms=200\n\
             broker.session.timeout.ms=1500\n\
             log.segment.delete.delay.ms=1000\n\
             {lines}",
            data = folder.join("data").display(),
            lines = self.lines,
        )
    }
}
