//! Three regions, two publishers and six agents as processes of their own, on a real broker, under load: whoever is
//! killed, paused or stopped, nothing accepted is lost, and nobody gets old pages after final.

#[path = "bus/cluster.rs"]
mod cluster;
#[path = "bus/faults.rs"]
mod faults;
#[path = "bus/log.rs"]
mod log;
#[path = "bus/regions.rs"]
mod regions;
#[path = "bus/table.rs"]
mod table;
#[path = "bus/troubles.rs"]
mod troubles;
