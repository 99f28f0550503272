//! The API over real HTTP: what is refused, how that is told, and that nothing of it is kept.

mod api;
mod audit;
mod bad_input;
mod certificates;
mod dead_letters;
mod events;
mod good_input;
mod members;
mod openapi;
mod orders;
mod pauses;
mod recent;
mod replays;
mod shapes;
mod tokens;
