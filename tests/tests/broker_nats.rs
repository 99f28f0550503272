//! The log on a real NATS JetStream.

mod broker_nats {
    mod fixture;
}
