//! The log on a real NATS JetStream.

mod broker_nats {
    mod access;
    mod conformance;
    mod fixture;
    mod permissions;
    mod recovery;
    mod setup;
    mod streams;
    mod traffic;
}
