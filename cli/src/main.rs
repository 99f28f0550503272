//! The `purgebus` binary; all of it is in the library, for the tests to reach.

use std::process::ExitCode;

fn main() -> ExitCode {
    purgebus::run()
}
