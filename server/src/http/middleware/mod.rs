//! What surrounds every request, from the outside in.

pub(crate) mod body;
pub(crate) mod deadline;
pub(crate) mod guard;
pub(crate) mod refusals;
pub(crate) mod respond;
pub(crate) mod security;
