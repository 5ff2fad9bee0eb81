//! The system from outside: what the tests in `tests/` share.

pub mod generated;
pub mod hub;
pub mod images;
pub mod library;
pub mod pair;
pub mod parity;
pub mod recorded;
pub mod server;
