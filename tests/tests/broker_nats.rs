//! The log on a real NATS JetStream.

#[expect(dead_code, reason = "more tests follow")]
mod broker_nats {
    mod conformance;
    mod fixture;
    mod setup;
}
