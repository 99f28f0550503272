//! What the tests start is what they ask for.

use tests::servers::nats::{NEWEST, Nats, OLDEST};

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
