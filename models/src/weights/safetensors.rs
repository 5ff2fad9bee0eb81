//! The safetensors format: plain state dicts, and whole networks with graph and spec in the file's metadata.

use std::collections::HashMap;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use thiserror::Error;

use crate::network::Network;
use crate::params::{Params, ParamsError, Tensor};

use super::numbers::{Float, is_bookkeeping};

/// The metadata key of the graph.
const GRAPH_KEY: &str = "graft.graph.v1";
/// The metadata key of the spec.
const SPEC_KEY: &str = "graft.spec.v1";

/// Why a file is not a state dict of floating-point tensors, or not a network.
#[derive(Debug, Error)]
pub enum SafetensorsError {
    /// The container is damaged.
    #[error("the safetensors file is damaged or cut off; fetch it again")]
    Container,
    /// A tensor of another type.
    #[error("tensor `{name}` holds {found:?} numbers; weights are read as F16, BF16, F32 or F64")]
    Type {
        /// The tensor's name.
        name: String,
        /// The type in the file.
        found: Dtype,
    },
    /// A state dict alone.
    #[error("the file holds weights but no `{0}`; it was not written by this version of graft")]
    NoNetwork(&'static str),
    /// A graph or spec that does not parse.
    #[error("the file's graph or spec is damaged; export the model again")]
    Json,
    /// Weights that do not fit the graph.
    #[error(transparent)]
    Params(#[from] ParamsError),
}

/// The library's words are for programmers; whoever has the file can only fetch another.
impl From<safetensors::SafeTensorError> for SafetensorsError {
    fn from(_: safetensors::SafeTensorError) -> Self {
        Self::Container
    }
}

impl From<serde_json::Error> for SafetensorsError {
    fn from(_: serde_json::Error) -> Self {
        Self::Json
    }
}

/// Reads every tensor of a safetensors file into `f32`. Counters of training steps, such as PyTorch's
/// `num_batches_tracked`, are no weights and are passed over.
///
/// # Errors
/// [`SafetensorsError`] for a damaged file, or a tensor of other numbers than F16, BF16, F32 and F64.
pub fn read_safetensors(bytes: &[u8]) -> Result<Params, SafetensorsError> {
    let file = SafeTensors::deserialize(bytes)?;
    let mut params = Params::default();
    for (name, view) in file.tensors() {
        let float = match view.dtype() {
            _ if is_bookkeeping(&name) => continue,
            Dtype::F16 => Float::F16,
            Dtype::BF16 => Float::BF16,
            Dtype::F32 => Float::F32,
            Dtype::F64 => Float::F64,
            found => return Err(SafetensorsError::Type { name, found }),
        };
        params.insert(name, Tensor::new(view.shape(), float.decode(view.data())));
    }
    Ok(params)
}

/// Writes a state dict.
///
/// # Errors
/// [`SafetensorsError::Container`] when the container refuses a tensor, which no state dict of ours should cause.
pub fn write_safetensors(params: &Params) -> Result<Vec<u8>, SafetensorsError> {
    write(params, None)
}

/// Reads a network that [`write_network`] wrote.
///
/// # Errors
/// [`SafetensorsError`] for a damaged file, a bare state dict, or weights that are not the graph's.
pub fn read_network(bytes: &[u8]) -> Result<Network, SafetensorsError> {
    let (_, header) = SafeTensors::read_metadata(bytes)?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let value = |key| metadata.get(key).ok_or(SafetensorsError::NoNetwork(key));
    let graph = serde_json::from_str(value(GRAPH_KEY)?)?;
    let spec = serde_json::from_str(value(SPEC_KEY)?)?;
    Ok(Network::new(graph, &read_safetensors(bytes)?, spec)?)
}

/// Writes a network: the state dict as it is trained, nothing folded, with graph and spec in the metadata. Any reader of
/// safetensors sees an ordinary state dict.
///
/// # Errors
/// As [`write_safetensors`].
pub fn write_network(network: &Network) -> Result<Vec<u8>, SafetensorsError> {
    let metadata = HashMap::from([
        (GRAPH_KEY.to_owned(), serde_json::to_string(&network.graph)?),
        (SPEC_KEY.to_owned(), serde_json::to_string(&network.spec)?),
    ]);
    write(&network.params, Some(metadata))
}

fn write(params: &Params, metadata: Option<HashMap<String, String>>) -> Result<Vec<u8>, SafetensorsError> {
    let bytes: Vec<(&str, &Tensor, Vec<u8>)> = params
        .iter()
        .map(|(name, tensor)| (name, tensor, tensor.data().iter().flat_map(|number| number.to_le_bytes()).collect()))
        .collect();
    let views = bytes
        .iter()
        .map(|(name, tensor, data)| Ok((*name, TensorView::new(Dtype::F32, tensor.shape().to_vec(), data)?)))
        .collect::<Result<HashMap<_, _>, SafetensorsError>>()?;
    Ok(safetensors::serialize(views, metadata)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ModelSpec, Preprocess, init, zoo};

    #[test]
    fn a_state_dict_is_read_back() {
        let mut params = Params::default();
        params.insert("features.0.weight", Tensor::new([2, 1, 1, 2], vec![1.0, -2.5, f32::MIN_POSITIVE, 0.0]));
        params.insert("fc.bias", Tensor::new([1], vec![3.25]));
        let bytes = write_safetensors(&params).unwrap();
        assert_eq!(read_safetensors(&bytes).unwrap(), params);
        let cut = read_safetensors(&bytes[..bytes.len() - 1]);
        assert!(matches!(cut, Err(SafetensorsError::Container)), "{cut:?}");
        assert!(matches!(read_network(&bytes), Err(SafetensorsError::NoNetwork(_))));
    }

    #[test]
    fn a_network_is_read_back() {
        let graph = zoo::find("resnet18").unwrap().graph([32; 2], 3).unwrap();
        let params = init::scrambled(&graph, 5);
        let preprocess = Preprocess::torchvision(32, 32);
        let spec = ModelSpec::new("resnet18", None, preprocess);
        let network = Network::new(graph, &params, spec).unwrap();
        assert_eq!(read_network(&write_network(&network).unwrap()).unwrap(), network);
    }
}
