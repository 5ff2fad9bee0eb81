//! The HTTP interface: one list of routes, what surrounds every request, and a file for each resource.

pub mod adapters;
mod bounds;
pub mod budget;
pub mod connection;
pub mod extract;
mod json_schema;
pub(crate) mod middleware;
pub mod problem;
pub mod record;
pub mod router;
pub(crate) mod routes;
pub mod state;
mod ui;
pub mod v1;
pub mod v2;
mod written;
