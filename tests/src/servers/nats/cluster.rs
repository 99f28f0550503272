//! Three nats-servers that keep each other's streams.

use async_nats::jetstream::{self, Context, stream};
use futures::future::join_all;

use super::{NEWEST, Nats};
use crate::eventually;
use crate::servers::free_ports;

const SERVERS: usize = 3;

/// A cluster of three.
#[derive(Debug)]
pub struct Cluster {
    /// Its servers.
    pub servers: Vec<Nats>,
}

impl Cluster {
    /// Starts it and waits until it takes streams of three copies.
    ///
    /// # Panics
    /// When a server does not start, or they do not find each other.
    pub async fn start() -> Self {
        let ports = free_ports(SERVERS);
        let routes: Vec<String> =
            ports.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        let more = |route: &String| {
            ["-cluster_name", "tests", "-cluster", route, "-routes", &routes.join(",")]
                .map(str::to_owned)
        };
        let starts = routes.iter().map(|route| {
            let more = more(route);
            async move { Nats::launch(NEWEST, "", &more).await }
        });
        let cluster = Self { servers: join_all(starts).await };
        cluster.settles().await;
        cluster
    }

    async fn settles(&self) {
        let admin = self.admin().await;
        let probe = stream::Config {
            name: "cluster-probe".to_owned(),
            num_replicas: SERVERS,
            ..stream::Config::default()
        };
        eventually("the cluster takes streams", async || {
            admin.create_stream(probe.clone()).await.is_ok()
        })
        .await;
        admin.delete_stream("cluster-probe").await.expect("it was made");
    }

    /// The addresses of all servers.
    pub fn urls(&self) -> Vec<String> {
        self.servers.iter().map(Nats::url).collect()
    }

    /// A connection to do things behind the bus's back, to whichever server is up.
    ///
    /// # Panics
    /// When none answers.
    pub async fn admin(&self) -> Context {
        let addresses: Vec<async_nats::ServerAddr> =
            self.urls().iter().map(|url| url.parse().expect("an address")).collect();
        jetstream::new(async_nats::connect(addresses).await.expect("a server is up"))
    }

    /// The server that leads a stream.
    ///
    /// # Panics
    /// When nobody does.
    pub async fn leader(&mut self, stream: &str) -> &mut Nats {
        let admin = self.admin().await;
        let mut leader = None;
        eventually("the stream has a leader", async || {
            let Ok(stream) = admin.get_stream(stream).await else { return false };
            leader = stream.cached_info().cluster.as_ref().and_then(|it| it.leader.clone());
            leader.is_some()
        })
        .await;
        let leader = leader.expect("just seen");
        let mut servers = self.servers.iter_mut();
        servers.find(|server| server.name == leader).expect("it is one of ours")
    }
}
