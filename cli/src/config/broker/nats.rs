//! Mistakes in `[broker]` with `kind = "nats"`.

use std::ops::Range;

use broker_adapter::NatsConfig;
use reqwest::Url;
use toml::de::DeTable;

use super::files::{check_holds, check_secret, check_tls};
use super::limits::{self, Shape};
use crate::config::mistake::Field;
use crate::config::reader::Reader;

/// Reads it and notes what is wrong.
pub(super) fn read<'i>(
    reader: &mut Reader<'_, 'i>,
    field: &Field,
    table: &DeTable<'i>,
    span: &Range<usize>,
) -> Option<NatsConfig> {
    let nats: NatsConfig = reader.read(field, table, span, &["kind"])?;
    check_urls(reader, &field.key("urls"), &nats.urls);
    let shape = Shape {
        prefix: &nats.prefix,
        prefix_dots: false,
        partitions: nats.partitions,
        retention: nats.retention,
        retention_bytes: nats.retention_bytes,
    };
    limits::check(reader, field, &shape);
    if !matches!(nats.replicas, 1 | 3) {
        let problem = format!("is {}; give 1, or 3 in a cluster of three or more", nats.replicas);
        reader.object(&field.key("replicas"), problem);
    }
    check_identity(reader, field, &nats);
    if let Some(tls) = &nats.tls {
        check_tls(reader, &field.key("tls"), tls);
    }
    Some(nats)
}

fn check_urls(reader: &mut Reader<'_, '_>, field: &Field, urls: &[String]) {
    if urls.is_empty() {
        reader.object(field, "names none; write urls = [\"nats://127.0.0.1:4222\"]");
    }
    for (at, url) in urls.iter().enumerate() {
        if let Err(problem) = check_url(url) {
            reader.object(&field.item(at), problem);
        }
    }
}

/// Says nothing of what stands in it: that may be a password.
fn check_url(url: &str) -> Result<(), &'static str> {
    let form = "is no address; write it as \"nats://host:4222\"";
    let Ok(url) = Url::parse(url) else { return Err(form) };
    if !matches!(url.scheme(), "nats" | "tls") {
        return Err("begins with neither nats:// nor tls://; write it as \"nats://host:4222\"");
    }
    if url.host_str().is_none_or(str::is_empty) || url.port() == Some(0) {
        return Err(form);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user; write user and password_file as keys of their own");
    }
    let rest = !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some();
    if rest { Err("holds more than an address; write it as \"nats://host:4222\"") } else { Ok(()) }
}

/// At most one way to say who we are, and that one whole.
fn check_identity(reader: &mut Reader<'_, '_>, field: &Field, nats: &NatsConfig) {
    let pairs = [
        ("password", nats.password.is_some(), "password_file", nats.password_file.is_some()),
        ("token", nats.token.is_some(), "token_file", nats.token_file.is_some()),
    ];
    for (plain, has_plain, file, has_file) in pairs {
        if has_plain && has_file {
            reader
                .object(&field.key(file), format!("stands beside {plain}; leave one of them out"));
        }
    }
    let password = nats.password.is_some() || nats.password_file.is_some();
    if nats.user.is_some() && !password {
        let problem = "has no password; add password_file, or leave user out";
        reader.object(&field.key("user"), problem);
    }
    if nats.user.is_none() && password {
        let key = if nats.password.is_some() { "password" } else { "password_file" };
        reader.object(&field.key(key), "belongs to no user; add user, or leave it out");
    }
    let ways: Vec<_> = [
        ("user", nats.user.is_some()),
        ("token", nats.token.is_some()),
        ("token_file", nats.token_file.is_some() && nats.token.is_none()),
        ("nkey_file", nats.nkey_file.is_some()),
        ("credentials_file", nats.credentials_file.is_some()),
    ]
    .into_iter()
    .filter_map(|(key, written)| written.then_some(key))
    .collect();
    if let [first, others @ ..] = ways.as_slice() {
        for other in others {
            let problem =
                format!("is a second way to say who we are, beside {first}; leave one out");
            reader.object(&field.key(other), problem);
        }
    }
    check_secret(reader, &field.key("password_file"), nats.password_file.as_ref());
    check_secret(reader, &field.key("token_file"), nats.token_file.as_ref());
    check_secret(reader, &field.key("nkey_file"), nats.nkey_file.as_ref());
    let credentials = ("-----BEGIN NATS USER JWT-----", "credentials as `nsc` writes them");
    let file = nats.credentials_file.as_ref();
    check_holds(reader, &field.key("credentials_file"), file, credentials);
}
