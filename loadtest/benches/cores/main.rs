//! What the pure cores cost for each record, on one core and without a broker, a cache or a disk, beside what does as little
//! as can be of the same in the same run. Divan prints the time of an iteration, and how many records a second that is.

mod coalesce;
mod decode;
mod floor;
mod given;
mod hear;
mod lane;
mod pack;
mod request;
mod tracker;

fn main() {
    divan::main();
}
