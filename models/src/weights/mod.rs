//! Files of weights.

mod numbers;
mod safetensors;

pub use self::safetensors::{SafetensorsError, read_network, read_safetensors, write_network, write_safetensors};
