//! Fits the tensors of a file to a graph.

use std::collections::BTreeSet;

use thiserror::Error;

use super::naming::{Naming, TensorMapping};
use super::state_dict::{Shapes, StateDict};
use crate::graph::Graph;
use crate::params::Params;

/// The tensors of a file as the parameters of a graph.
#[derive(Debug, Clone, PartialEq)]
pub struct FittedWeights {
    /// All parameters of the graph and no others, under its names and in its layout.
    pub params: Params,
    /// The convention that the file follows.
    pub naming: Naming,
}

/// Why the tensors of a file do not fit a graph. Messages give both names of a tensor where the file's differs from the
/// graph's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FitError {
    /// No name in common.
    #[error(
        "the file's names (`{file}`, …) have nothing in common with the network's (`{graph}`, …), nor with timm's, \
         Hugging Face's or Keras's for it; it belongs to another network"
    )]
    Names {
        /// The first name of the file.
        file: String,
        /// The first name of the graph.
        graph: String,
    },
    /// A parameter that the file lacks.
    #[error("tensor {} is missing in the file; the file belongs to another network", both(name, file))]
    Missing {
        /// The graph's name.
        name: String,
        /// The name it would have in the file.
        file: String,
    },
    /// A tensor of another shape.
    #[error("tensor {} has shape {found:?} in the file, the network needs {expected:?}", both(name, file))]
    Shape {
        /// The graph's name.
        name: String,
        /// The file's name.
        file: String,
        /// The shape that the graph wants, in the layout of the file.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// A tensor that the graph does not have.
    #[error(
        "the file has a tensor `{file}` of shape {shape:?} that the network does not have; the file belongs to another \
         network"
    )]
    Extra {
        /// The file's name.
        file: String,
        /// As the file states it, before any transposition.
        shape: Vec<usize>,
    },
}

fn both(name: &str, file: &str) -> String {
    if name == file { format!("`{name}`") } else { format!("`{name}` (`{file}` in the file)") }
}

/// Detects the naming convention of a file, and renames and transposes its tensors for the graph.
///
/// Every tensor is accounted for: each parameter of the graph is in the file in the shape that the convention gives it,
/// and the file holds nothing else. For a file without a classifier, or with one for another number of classes, make
/// the graph accordingly: see [`covered`](super::covered) and [`classes`](super::classes).
///
/// # Errors
/// [`FitError`] names the first tensor that is missing, has another shape, or is left over.
pub fn fit(graph: &Graph, state: &StateDict) -> Result<FittedWeights, FitError> {
    let file = state.shapes();
    let naming = Naming::of(&file);
    let entries = naming.entries(graph, &file);
    check(&entries, &file)?;
    let tensor = |entry: &TensorMapping| {
        let tensor = state.tensors.get(&entry.file)?;
        Some((entry.name.clone(), entry.layout.arrange(tensor, &entry.shape)))
    };
    Ok(FittedWeights { params: entries.iter().filter_map(tensor).collect(), naming })
}

/// How well a file fits a graph. A greater value is a better fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Likeness {
    /// The number of parameters that the file has in the right shape.
    pub right: usize,
    /// The number of all other parameters and tensors.
    pub wrong: std::cmp::Reverse<usize>,
}

/// Names the first difference between a file and a graph that it does not fit.
#[must_use]
pub fn likeness(graph: &Graph, state: &StateDict) -> Likeness {
    let file = state.shapes();
    let entries = Naming::of(&file).entries(graph, &file);
    let is_right = |entry: &&TensorMapping| {
        file.get(entry.file.as_str()).is_some_and(|found| *found == entry.layout.file_shape(&entry.shape))
    };
    let right = entries.iter().filter(is_right).count();
    Likeness { right, wrong: std::cmp::Reverse(entries.len() + file.len() - 2 * right) }
}

/// Compares the declared tensors with those of the file.
pub(super) fn check(entries: &[TensorMapping], found: &Shapes<'_>) -> Result<(), FitError> {
    if let (Some(file), Some(entry)) = (found.keys().next(), entries.first())
        && entries.iter().all(|entry| !found.contains_key(entry.file.as_str()))
    {
        return Err(FitError::Names { file: (*file).to_owned(), graph: entry.name.clone() });
    }
    for TensorMapping { name, shape, file, layout } in entries {
        let Some(found) = found.get(file.as_str()) else {
            return Err(FitError::Missing { name: name.clone(), file: file.clone() });
        };
        let expected = layout.file_shape(shape);
        if *found != expected {
            return Err(FitError::Shape { name: name.clone(), file: file.clone(), expected, found: found.to_vec() });
        }
    }
    let names: BTreeSet<&str> = entries.iter().map(|entry| entry.file.as_str()).collect();
    match found.iter().find(|(name, _)| !names.contains(*name)) {
        Some((file, shape)) => Err(FitError::Extra { file: (*file).to_owned(), shape: shape.to_vec() }),
        None => Ok(()),
    }
}
