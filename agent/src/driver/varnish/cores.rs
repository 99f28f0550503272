//! How keys are packed into requests, for the benchmarks of `loadtest`.

use schemas::Sites;

use super::keys;
use crate::driver::Batch;

/// As many segments as `deploy/varnish/purgebus.vcl` keys.
const DEPTH: usize = 8;

/// How many requests purge `batch`; `None` where it cannot be said in keys.
pub fn requests(sites: &Sites, batch: &Batch) -> Option<usize> {
    keys::requests("127.0.0.1:6081", sites, DEPTH, batch).ok().map(|requests| requests.len())
}
