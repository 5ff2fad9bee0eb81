//! Named tensors.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::graph::Graph;
use crate::ops::numbers;

/// A dense tensor of `f32`, row-major. Cloning shares the numbers.
#[derive(Debug, Clone)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Arc<Vec<f32>>,
}

/// Equal shapes and numbers. Tensors that share their numbers compare without reading them.
impl PartialEq for Tensor {
    fn eq(&self, other: &Self) -> bool {
        self.shape == other.shape && (Arc::ptr_eq(&self.data, &other.data) || self.data == other.data)
    }
}

impl Tensor {
    /// A tensor of this shape, from numbers in row-major order.
    ///
    /// # Panics
    /// When the length of `data` is not the product of the dimensions: a defect of the caller, never of a file.
    #[must_use]
    pub fn new(shape: impl Into<Vec<usize>>, data: Vec<f32>) -> Self {
        let shape = shape.into();
        assert_eq!(numbers(&shape), data.len(), "a tensor of shape {shape:?} with {} numbers", data.len());
        Self { shape, data: Arc::new(data) }
    }

    /// The dimensions, outermost first.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The numbers, row-major.
    #[must_use]
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The same numbers in the same order with other dimensions. The numbers are shared.
    ///
    /// # Panics
    /// When the new dimensions hold another number of elements: a defect of the caller, never of a file.
    #[must_use]
    pub fn reshaped(&self, shape: &[usize]) -> Self {
        assert_eq!(numbers(shape), self.data.len(), "{:?} as {shape:?}", self.shape);
        Self { shape: shape.to_vec(), data: Arc::clone(&self.data) }
    }
}

/// The parameters of a network by name: its state dict.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Params(BTreeMap<String, Tensor>);

impl Params {
    /// Adds or replaces a tensor.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) {
        self.0.insert(name.into(), tensor);
    }

    /// The tensor of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.get(name)
    }

    /// All tensors, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.0.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The number of tensors.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no tensors.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tensors that this graph names, with the shapes that it declares.
    ///
    /// # Errors
    /// [`ParamsError`] naming the first tensor that is missing or has another shape.
    pub fn select(&self, graph: &Graph) -> Result<Params, ParamsError> {
        let mut selection = Params::default();
        for (name, declared) in graph.nodes().iter().flat_map(|node| node.params()) {
            let tensor = self.get(name).ok_or_else(|| ParamsError::Missing { name: name.to_owned() })?;
            if tensor.shape() != declared.shape {
                return Err(ParamsError::Shape {
                    name: name.to_owned(),
                    expected: declared.shape,
                    found: tensor.shape().to_vec(),
                });
            }
            selection.insert(name, tensor.clone());
        }
        Ok(selection)
    }

    /// SHA-256 over names, shapes and numbers, as lower-case hexadecimal. Equal for equal state dicts, whatever file
    /// they came from.
    #[must_use]
    pub fn checksum(&self) -> String {
        let mut hash = Sha256::new();
        for (name, tensor) in self.iter() {
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name);
            hash.update((tensor.shape.len() as u64).to_le_bytes());
            tensor.shape.iter().for_each(|&dim| hash.update((dim as u64).to_le_bytes()));
            for chunk in tensor.data.chunks(4096) {
                let bytes: Vec<u8> = chunk.iter().flat_map(|number| number.to_le_bytes()).collect();
                hash.update(&bytes);
            }
        }
        hex::encode(hash.finalize())
    }
}

impl FromIterator<(String, Tensor)> for Params {
    fn from_iter<I: IntoIterator<Item = (String, Tensor)>>(tensors: I) -> Self {
        Self(tensors.into_iter().collect())
    }
}

/// Why tensors do not fit a graph.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParamsError {
    /// A missing tensor.
    #[error("tensor `{name}` is missing")]
    Missing {
        /// The tensor's name.
        name: String,
    },
    /// A tensor of another shape than declared.
    #[error("tensor `{name}` has shape {found:?}, the network wants {expected:?}")]
    Shape {
        /// The tensor's name.
        name: String,
        /// The shape that the graph declares.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
}
