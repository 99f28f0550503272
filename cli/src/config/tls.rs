//! TLS at our own ports: its files are read and checked before anything starts.

use std::net::SocketAddr;

use daemon::{Clock, TlsBook, TlsConfig};

use super::draft::Draft;
use super::mistake::Field;
use super::reader::Reader;

/// Notes what is wrong with it, and answers what is not wrong but should not stay so.
pub(super) fn check(reader: &mut Reader<'_, '_>, draft: &Draft) -> Vec<String> {
    let (publisher, agent) = (draft.publisher.as_ref(), draft.agent.as_ref().map(|it| &it.config));
    let tables = [
        ("publisher", "tls", publisher.and_then(|it| it.tls.as_ref())),
        ("publisher", "admin_tls", publisher.and_then(|it| it.admin_tls.as_ref())),
        ("agent", "admin_tls", agent.and_then(|it| it.admin_tls.as_ref())),
    ];
    let mut warnings = Vec::new();
    for (part, key, tls) in tables {
        let field = Field::top(part).key(key);
        let told = tls.map(|tls| files(reader, &field, tls)).unwrap_or_default();
        warnings.extend(told.into_iter().map(|warning| format!("{field}: {warning}")));
    }
    if let (Some(publisher), Some(agent)) = (publisher, agent)
        && publisher.admin == agent.admin
        && publisher.admin_tls != agent.admin_tls
    {
        let problem = "is not that of publisher, whose admin port is the same; write both alike";
        reader.object(&Field::top("agent").key("admin_tls"), problem);
    }
    let clear = publisher.filter(|it| it.tls.is_none() && is_exposed(it.listen));
    warnings.extend(clear.map(|publisher| {
        format!(
            "publisher.listen: tokens travel in the clear to {}; add [publisher.tls], or let nobody reach it but \
             through a proxy with TLS",
            publisher.listen
        )
    }));
    warnings
}

fn files(reader: &mut Reader<'_, '_>, field: &Field, tls: &TlsConfig) -> Vec<String> {
    match TlsBook::open(tls.clone(), Clock::system()) {
        Ok(book) => book.warnings(),
        Err(mistakes) => {
            for mistake in mistakes.0 {
                reader.object(&field.key(mistake.key), mistake.problem);
            }
            Vec::new()
        }
    }
}

fn is_exposed(listen: SocketAddr) -> bool {
    !listen.ip().is_loopback()
}
