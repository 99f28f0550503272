//! librdkafka is polled by threads of our own: its calls block.

use super::trouble::Failure;
use crate::BrokerError;

/// Starts a thread that ends by itself once whoever needs it is gone.
pub(super) fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), BrokerError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map(drop)
        .map_err(|error| Failure::unavailable("start a thread", error))
}
