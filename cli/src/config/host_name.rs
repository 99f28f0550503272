//! The name of a part that the configuration does not name.

use std::str::FromStr;

/// The host's name in lower case, or what to do where that is no name on the bus.
pub(super) fn host_name<T: FromStr>() -> Result<T, String> {
    let host = gethostname::gethostname().to_string_lossy().to_ascii_lowercase();
    host.parse().map_err(|_| format!("the host name \"{host}\" cannot be used; write a name here"))
}
