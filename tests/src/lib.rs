//! The whole system under test: world, oracle, real servers

pub mod book;
pub mod servers;
pub mod world;
