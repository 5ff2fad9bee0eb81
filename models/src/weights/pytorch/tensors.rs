//! From views and storages to tensors.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::PyTorchError;
use super::storage::ElementType;
use crate::budget::Budget;
use crate::params::{Params, Tensor};
use crate::pickle::StridedView;
use crate::weights::numbers::{Float, is_bookkeeping};

/// The views of weights with their kind of number. Counters are left out.
///
/// # Errors
/// [`PyTorchError::Type`] for a tensor of other numbers that is no counter.
pub(super) fn weights<'h, 'a>(
    views: BTreeMap<&'a str, &'h StridedView<'a>>,
) -> Result<Vec<(&'a str, &'h StridedView<'a>, Float)>, PyTorchError> {
    let mut weights = Vec::with_capacity(views.len());
    for (name, view) in views {
        match ElementType::of(view.storage.class) {
            _ if is_bookkeeping(name) => {}
            Some(ElementType::Float(float)) => weights.push((name, view, float)),
            _ => {
                return Err(PyTorchError::Type { name: name.to_owned(), found: view.storage.class.to_owned() });
            }
        }
    }
    Ok(weights)
}

/// The keys of the storages that these views need.
pub(super) fn storage_keys<'a>(weights: &[(&'a str, &StridedView<'a>, Float)]) -> BTreeSet<&'a str> {
    weights.iter().map(|(_, view, _)| view.storage.key).collect()
}

/// Reads every view out of its storage.
///
/// # Errors
/// [`PyTorchError::View`] for a view past the end of its storage or without one, [`PyTorchError::TooLarge`] for views
/// that together are larger than the file warrants.
pub(super) fn read(
    weights: &[(&str, &StridedView<'_>, Float)],
    storages: &BTreeMap<&str, Cow<'_, [u8]>>,
    budget: &mut Budget,
) -> Result<Params, PyTorchError> {
    let mut params = Params::default();
    for (name, view, float) in weights {
        budget.tensor(&view.shape)?;
        let storage = storages.get(view.storage.key);
        let bytes = storage.and_then(|storage| view.bytes(storage, float.size()));
        let bytes = bytes.ok_or_else(|| PyTorchError::View { name: (*name).to_owned() })?;
        params.insert(*name, Tensor::new(view.shape.clone(), float.decode(&bytes)));
    }
    Ok(params)
}
