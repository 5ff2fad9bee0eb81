//! The addresses of other services, so that their clients work with graft as they are: a file each, thin over one core
//! (`core`). Field names, statuses and paths are the services'; docs/clients.md lists them.
//!
//! The core is that of `/classify`: the same admission, queue, limits, keys and counters. An image that cannot be used
//! refuses its request, since none of these protocols has a place for the problem of one image.

mod core;
pub mod custom_vision;
pub mod hugging_face;
pub mod sagemaker;
pub mod tf_images;
pub mod tf_serving;
pub mod torch_serve;
mod upload;
mod verb;
pub mod vertex;
