//! Mistakes in `[broker]` with `kind = "kafka"`.

use std::net::IpAddr;
use std::ops::Range;

use broker_adapter::{KafkaConfig, SaslConfig, SaslMechanism};
use toml::de::DeTable;

use super::files::{check_secret, check_tls};
use super::limits::{self, Shape};
use crate::config::mistake::Field;
use crate::config::reader::Reader;

/// Kafka's own bound is in the hundreds; nobody keeps more copies than this.
const REPLICAS_MAX: i32 = 15;

/// Reads it and notes what is wrong.
pub(super) fn read<'i>(
    reader: &mut Reader<'_, 'i>,
    field: &Field,
    table: &DeTable<'i>,
    span: &Range<usize>,
) -> Option<KafkaConfig> {
    let kafka: KafkaConfig = reader.read(field, table, span, &["kind"])?;
    check_brokers(reader, &field.key("brokers"), &kafka.brokers);
    let shape = Shape {
        prefix: &kafka.prefix,
        prefix_dots: true,
        partitions: kafka.partitions,
        retention: kafka.retention,
        retention_bytes: kafka.retention_bytes,
    };
    limits::check(reader, field, &shape);
    if !(1..=REPLICAS_MAX).contains(&kafka.replicas) {
        let problem = format!("is {}; give 1, or 3 in a cluster of three or more", kafka.replicas);
        reader.object(&field.key("replicas"), problem);
    }
    if let Some(tls) = &kafka.tls {
        check_tls(reader, &field.key("tls"), tls);
    }
    if let Some(sasl) = &kafka.sasl {
        check_sasl(reader, &field.key("sasl"), sasl, &kafka);
    }
    Some(kafka)
}

fn check_brokers(reader: &mut Reader<'_, '_>, field: &Field, brokers: &[String]) {
    if brokers.is_empty() {
        reader.object(field, "names none; write brokers = [\"127.0.0.1:9092\"]");
    }
    for (at, broker) in brokers.iter().enumerate() {
        let field = field.item(at);
        if broker.contains("://") {
            let problem = "is a URL; write it as \"host:9092\", and add [broker.tls] for TLS";
            reader.object(&field, problem);
        } else if host_of(broker).is_none() {
            reader.object(&field, "is no address; write it as \"host:9092\"");
        }
    }
}

/// The host of `host:port`, where it is one.
fn host_of(broker: &str) -> Option<&str> {
    let (host, port) = broker.rsplit_once(':')?;
    let port_is_one = port.parse::<u16>().is_ok_and(|port| port > 0);
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let host_is_one = match bare {
        Some(bare) => bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()),
        None => !host.is_empty() && host.chars().all(named),
    };
    (port_is_one && host_is_one).then_some(bare.unwrap_or(host))
}

fn is_loopback(broker: &str) -> bool {
    let ip = |host: &str| host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    host_of(broker).is_some_and(|host| host == "localhost" || ip(host))
}

fn check_sasl(reader: &mut Reader<'_, '_>, field: &Field, sasl: &SaslConfig, kafka: &KafkaConfig) {
    if sasl.user.is_empty() {
        reader.object(&field.key("user"), "is empty; name the user");
    }
    match (&sasl.password, &sasl.password_file) {
        (Some(_), Some(_)) => {
            let problem = "stands beside password; leave one of them out";
            reader.object(&field.key("password_file"), problem);
        }
        (None, None) => {
            let problem = "is missing; name the file that holds the password";
            reader.object(&field.key("password_file"), problem);
        }
        _ => {}
    }
    check_secret(reader, &field.key("password_file"), sasl.password_file.as_ref());
    let afar = kafka.brokers.iter().any(|broker| !is_loopback(broker));
    if sasl.mechanism == SaslMechanism::Plain && kafka.tls.is_none() && afar {
        let problem = "\"plain\" sends the password as it is; add [broker.tls], \
                       or use \"scram-sha-512\"";
        reader.object(&field.key("mechanism"), problem);
    }
}
