//! Kafka: users with access control lists.
