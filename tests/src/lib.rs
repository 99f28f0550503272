//! The whole system under test: world, oracle, real servers

pub mod authority;
pub mod book;
pub mod bus;
mod eventually;
pub mod process;
pub mod record;
pub mod serve;
pub mod servers;
pub mod shop;
pub mod small_disk;
pub mod terminal;
pub mod town;
pub mod witness;
pub mod world;

pub use eventually::eventually;
