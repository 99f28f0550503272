//! What the docs say is so: links lead somewhere, configurations are right, commands exist, metrics are those there are.

#[path = "docs/commands.rs"]
mod commands;
#[path = "docs/configurations.rs"]
mod configurations;
#[path = "docs/links.rs"]
mod links;
#[path = "docs/metrics.rs"]
mod metrics;
