//! Addresses whose bodies go to the disk as they come, so that other bounds hold for them.

/// The address of the pieces, whose bodies are streamed.
pub(crate) const UPLOAD_ROUTE: &str = "/datasets/{name}/uploads/{id}";

/// Where models are sent to. Their bytes go to the disk as they come.
pub(crate) const MODELS_ROUTE: &str = "/models";
