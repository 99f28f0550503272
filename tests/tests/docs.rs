//! What the docs say is so: links lead somewhere, configurations are right, commands exist, metrics and alerts are those
//! there are, and the code of the guides runs.

#[path = "docs/alerts.rs"]
mod alerts;
#[path = "docs/commands.rs"]
mod commands;
#[path = "docs/configurations.rs"]
mod configurations;
#[path = "docs/guides.rs"]
mod guides;
#[path = "docs/installed.rs"]
mod installed;
#[path = "docs/links.rs"]
mod links;
#[path = "docs/metrics.rs"]
mod metrics;
