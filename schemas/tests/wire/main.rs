//! The wire from outside: golden bytes, round trips, and damaged or forged bytes.

mod arbitrary;
mod damage;
mod forgery;
mod golden;
mod message;
mod round_trip;
mod samples;
mod signatures;
