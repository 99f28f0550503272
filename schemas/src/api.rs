//! Bodies of the HTTP API, shared by publisher and command line. The contract with users.

mod accepted;
mod agent;
mod audit;
mod dead_letter;
mod event;
mod flush;
mod latency;
mod listed;
mod pause;
mod problem;
mod progress;
mod publisher;
mod replay;
mod request;
mod summary;

pub use self::accepted::{Accepted, DryRun, DryRunCache, Durable};
pub use self::agent::{AgentCache, AgentInstance, AgentState, AgentSummary, ClockOffset};
pub use self::audit::{
    AuditFault, AuditFinding, AuditLine, AuditPlace, AuditVerification, Certificate, Evidence,
};
pub use self::dead_letter::{
    DeadLetterExchange, DeadLetterPage, DeadLetterSummary, DeadLettersOrdered, DeadLettersRequest,
    DropRequest,
};
pub use self::event::{
    BlockedEvent, CacheEvent, Event, FlushEvent, InvalidationEvent, LaggedEvent, ReachedEvent,
};
pub use self::flush::{FlushOrdered, FlushRequest, OrderedCache};
pub use self::latency::{LatencyReport, LatencyWindow};
pub use self::listed::InvalidationSummary;
pub use self::pause::{CachePause, Cancelled, PauseRequest, PauseSummary, PausedCache};
pub use self::problem::{Mistake, Problem};
pub use self::progress::{
    CacheProgress, Clock, InvalidationFacts, Missing, Progress, ProgressState, RegionProgress,
};
pub use self::publisher::{PublisherLine, PublisherState, PublisherSummary};
pub use self::replay::{
    Replay, ReplayCounts, ReplayDryRun, ReplayFilter, ReplayLeftOut, ReplayRequest, ReplaySample,
    ReplayState,
};
pub use self::request::{
    BODY_BYTES_MAX, InvalidationRequest, QueryRequest, SELECTORS_MAX, TAGS_MAX, UrlRequest,
    UrlWithQuery,
};
pub use self::summary::{CacheSummary, Floor, Latency, LatencyWindows, Page, RegionSummary};
