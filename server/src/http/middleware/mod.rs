//! What surrounds every request.

pub(crate) mod respond;
