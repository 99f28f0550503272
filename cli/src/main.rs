//! The `purgebus` binary; all of it is in the library, for the tests to reach.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// What one thread decodes another drops, a million times a second.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    purgebus::run()
}
