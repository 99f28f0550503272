//! `purgebus demo` with a folder of the reader's own in a real browser, and with real servers, which it always ends.

#[path = "demo/endings.rs"]
mod endings;
#[path = "demo/servers.rs"]
mod servers;
#[path = "demo/show.rs"]
mod show;
#[path = "demo/site.rs"]
mod site;
