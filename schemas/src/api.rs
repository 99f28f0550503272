//! Bodies of the HTTP API, shared by publisher and command line. The contract with users.

mod accepted;
mod problem;
mod progress;
mod request;
mod summary;

pub use self::accepted::{Accepted, DryRun, DryRunCache, Durable};
pub use self::problem::{Mistake, Problem};
pub use self::progress::{CacheProgress, Clock, Missing, Progress, ProgressState, RegionProgress};
pub use self::request::{
    BODY_BYTES_MAX, InvalidationRequest, QueryRequest, SELECTORS_MAX, TAGS_MAX, UrlRequest,
    UrlWithQuery,
};
pub use self::summary::{CacheSummary, Floor, Latency, LatencyWindows, Page, RegionSummary};
