//! Logs to stderr by `tracing`.
