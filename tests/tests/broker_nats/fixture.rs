//! What the tests start is what they ask for.

use tests::servers::nats::{Cluster, NEWEST, Nats, OLDEST};

#[tokio::test]
async fn both_versions_start_and_a_store_outlives_a_restart() {
    for version in [NEWEST, OLDEST] {
        let mut nats = Nats::start_with(version, "").await;
        let admin = nats.admin().await;
        assert_eq!(admin.client().server_info().version, version);
        admin.create_stream("kept").await.unwrap();
        admin.publish("kept", "a".into()).await.unwrap().await.unwrap();
        nats.stop().await;
        nats.restart().await;
        let mut stream = nats.admin().await.get_stream("kept").await.unwrap();
        assert_eq!(stream.info().await.unwrap().state.messages, 1);
    }
}

#[tokio::test]
async fn a_cluster_has_leaders() {
    let mut cluster = Cluster::start().await;
    let stream = async_nats::jetstream::stream::Config {
        name: "led".to_owned(),
        num_replicas: 3,
        ..Default::default()
    };
    cluster.admin().await.create_stream(stream).await.unwrap();
    let leader = cluster.leader("led").await.address();
    assert!(cluster.urls().contains(&format!("nats://{leader}")));
}
