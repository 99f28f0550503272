//! How long certificates are good yet.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::book::TlsBook;

/// A certificate that expires within this time is worth a warning.
pub const EXPIRES_SOON: Duration = Duration::from_hours(14 * 24);

/// The certificates of all ports of a process, each with the key of the configuration that names the port.
#[derive(Debug)]
pub struct Certificates(Vec<(&'static str, TlsBook)>);

impl Certificates {
    /// Shows them as the gauge `purgebus_certificate_expires_seconds`. Once per registry.
    pub fn register(ports: Vec<(&'static str, TlsBook)>, registry: &mut Registry) {
        registry.register_collector(Box::new(Self(ports)));
    }
}

/// Asks at every scrape, so that it goes on while nothing happens.
impl Collector for Certificates {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        let help = "Time until the certificate of a port expires; below 0 since it has";
        let name = "purgebus_certificate_expires_seconds";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (port, book) in &self.0 {
            let gauge = ConstGauge::new(left(book.expires(), book.clock().now()));
            gauge.encode(family.encode_family(&[("port", *port)])?)?;
        }
        Ok(())
    }
}

/// Seconds from now on.
pub(super) fn left(expires: Timestamp, now: Timestamp) -> f64 {
    expires.duration_since(now).as_secs_f64()
}
