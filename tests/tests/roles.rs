//! Publisher and agents as processes of their own, as an operator starts, asks and stops them.

#[path = "roles/apart.rs"]
mod apart;
#[path = "roles/check.rs"]
mod check;
#[path = "roles/dead_letters.rs"]
mod dead_letters;
#[path = "roles/down.rs"]
mod down;
#[path = "roles/keys.rs"]
mod keys;
#[path = "roles/orders.rs"]
mod orders;
