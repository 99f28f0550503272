//! NATS: users with permissions.

use std::sync::Arc;

use async_nats::{Client, ConnectOptions, Event, ServerError};
use parking_lot::Mutex;
use tests::bus::{Bus, Wire};
use tests::eventually;
use tests::servers::nats::Nats;

use super::{make_the_topics, purge_something, told};

fn user(name: &str) -> String {
    format!("user = \"{name}\"\npassword = \"{name}-secret\"")
}

/// A client of a user, and what the server has forbidden it.
struct Thief {
    client: Client,
    forbidden: Arc<Mutex<Vec<String>>>,
}

impl Thief {
    async fn of(nats: &Nats, name: &str) -> Self {
        let forbidden = Arc::<Mutex<Vec<String>>>::default();
        let noted = Arc::clone(&forbidden);
        let options = ConnectOptions::with_user_and_password(name.into(), format!("{name}-secret"));
        let options = options.event_callback(move |event| {
            let noted = Arc::clone(&noted);
            async move {
                if let Event::ServerError(ServerError::Other(said)) = event {
                    noted.lock().push(said);
                }
            }
        });
        let client = options.connect(nats.url()).await.expect("the user is let in");
        Self { client, forbidden }
    }

    async fn cannot_publish(&self, subject: &str) {
        self.client.publish(subject.to_owned(), "mischief".into()).await.expect("it is sent");
        self.client.flush().await.expect("it is sent");
        let refusal = format!("Permissions Violation for Publish to \"{subject}\"");
        eventually(&refusal, async || self.forbidden.lock().iter().any(|it| it.contains(&refusal)))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rights_told_are_enough_and_no_more_than_that() {
    let mut nats = Nats::start().await;
    let wire = Wire::nats([nats.url()]);
    let prefix = wire.prefix().to_owned();
    nats.configure(&told("authorization {", &prefix).join("\n"));
    nats.stop().await;
    nats.restart().await;

    let mut bus = Bus::on(wire.clone().with(&user("operator")));
    make_the_topics(&bus).await;
    bus.wire = wire.clone().with(&user("publisher"));
    purge_something(&mut bus, |bus| bus.wire = wire.with(&user("edge-1"))).await;

    let agent = Thief::of(&nats, "edge-1").await;
    for log in ["critical.0", "normal.0", "publishers.publisher-1", "reports.edge-2"] {
        agent.cannot_publish(&format!("{prefix}.{log}")).await;
    }
    let publisher = Thief::of(&nats, "publisher").await;
    publisher.cannot_publish(&format!("{prefix}.reports.edge-1")).await;
    for thief in [agent, publisher] {
        for verb in ["STREAM.CREATE", "STREAM.UPDATE", "STREAM.DELETE", "STREAM.PURGE"] {
            thief.cannot_publish(&format!("$JS.API.{verb}.{prefix}-normal")).await;
        }
    }
}
