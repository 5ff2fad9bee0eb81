//! Walking through the groups of a file.

use std::collections::HashSet;

use hdf5_reader::group::Group;
use hdf5_reader::{Dataset, Hdf5File};

use super::KerasError;
use super::names;

/// How many groups may be inside each other. A layer of a model in a model has six.
const MAX_DEPTH: usize = 16;

/// The group of a whole model's weights.
const MODEL: &str = "model_weights";

/// The group of the layers in Keras 3's own layout.
const LAYERS: &str = "layers";

/// Groups beside the weights that hold the optimizer's variables.
const OPTIMIZERS: [&str; 2] = ["optimizer", "optimizer_weights"];

/// The name of a layer's random-number state, as a group or a variable. It is no weight.
const SEED: &str = "seed_generator";

/// The longest name of a layer, in bytes.
const MAX_NAME: u32 = 4096;

/// Every variable of the file with its name.
pub(super) fn variables(file: &Hdf5File) -> Result<Vec<(String, Dataset)>, KerasError> {
    let root = file.root_group()?;
    let top = root.group(MODEL).unwrap_or(root);
    let modern = top.group(LAYERS).is_ok();
    let mut variables = Vec::new();
    let mut addresses = HashSet::from([top.address()]);
    let mut waiting = vec![(top, Vec::<String>::new())];
    while let Some((group, path)) = waiting.pop() {
        let (groups, datasets) = group.members()?;
        for dataset in datasets.into_iter().filter(|dataset| !dataset.name().starts_with(SEED)) {
            let name =
                if modern { modern_name(&group, &path, &dataset)? } else { names::classic(&path, dataset.name()) };
            variables.push((name, dataset));
        }
        let of_optimizer = |child: &Group| path.is_empty() && OPTIMIZERS.contains(&child.name());
        for child in groups.into_iter().filter(|child| child.name() != SEED && !of_optimizer(child)) {
            if path.len() == MAX_DEPTH {
                return Err(KerasError::Depth);
            }
            // A group can be in itself; each is entered once.
            if addresses.insert(child.address()) {
                let path = path.iter().cloned().chain([child.name().to_owned()]).collect();
                waiting.push((child, path));
            }
        }
    }
    Ok(variables)
}

/// The name of a variable in Keras 3's layout, where `vars` says what its layer is called.
fn modern_name(group: &Group, path: &[String], dataset: &Dataset) -> Result<String, KerasError> {
    let layer = layer_name(group)?.ok_or_else(|| KerasError::Unnamed { group: path.join("/") })?;
    Ok(names::modern(path, &layer, dataset.name()))
}

/// The attribute `name`. It is resolved here and not by the reader, which would resolve all attributes, and as often as
/// the file says.
fn layer_name(group: &Group) -> Result<Option<String>, KerasError> {
    let attributes = group.raw_attributes()?;
    let Some(attribute) = attributes.iter().find(|attribute| attribute.name() == "name") else { return Ok(None) };
    let reference = &attribute.message().raw_data;
    let Some(length) = reference.first_chunk().map(|length| u32::from_le_bytes(*length)) else { return Ok(None) };
    if length > MAX_NAME {
        return Ok(None);
    }
    Ok(String::from_utf8(group.resolve_vlen_reference_bytes(reference, 1)?).ok())
}
