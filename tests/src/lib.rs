//! What the tests of the whole system share.

pub mod circles;
pub mod doc_comments;
pub mod generated;
pub mod hub;
pub mod images;
pub mod library;
pub mod machine_code;
pub mod pair;
pub mod parity;
pub mod receiver;
pub mod recorded;
pub mod server;
pub mod tokens;
