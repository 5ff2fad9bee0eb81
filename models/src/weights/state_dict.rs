//! What a file of weights holds.

use std::collections::BTreeMap;

use crate::params::Params;

use super::WeightsFormat;

/// The tensors of a file by name with their shapes: all that naming and fitting look at.
pub(super) type Shapes<'a> = BTreeMap<&'a str, &'a [usize]>;

/// The tensors of a file under the names that the file gives them, in the file's layout.
///
/// What is around the names has been removed: the dictionaries of a checkpoint, and prefixes that wrappers put before
/// every name. Keras's variables are called `layer/variable`, such as `block1_conv1/kernel`.
#[derive(Debug, Clone, PartialEq)]
pub struct StateDict {
    /// The format of the file.
    pub format: WeightsFormat,
    /// The tensors. Counters such as `num_batches_tracked` are not among them.
    pub tensors: Params,
}

/// What wraps a network and puts its own name before all others: `DataParallel` and weight averaging, `torch.compile`.
const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];

impl StateDict {
    /// Removes the prefixes of wrappers, however many there are around each other. A prefix that only some names have is
    /// part of these names and stays.
    pub(super) fn new(format: WeightsFormat, tensors: &Params) -> Self {
        let mut cut = 0;
        while let Some(prefix) = WRAPPERS.iter().find(|prefix| all_begin_with(tensors, cut, prefix)) {
            cut += prefix.len();
        }
        let tensors = tensors.iter().map(|(name, tensor)| (name[cut..].to_owned(), tensor.clone())).collect();
        Self { format, tensors }
    }

    /// Names and shapes.
    pub(super) fn shapes(&self) -> Shapes<'_> {
        self.tensors.iter().map(|(name, tensor)| (name, tensor.shape())).collect()
    }
}

/// Whether all names go on with this prefix after so many bytes, and do not end with it.
fn all_begin_with(tensors: &Params, cut: usize, prefix: &str) -> bool {
    let begins = |name: &str| name[cut..].strip_prefix(prefix).is_some_and(|rest| !rest.is_empty());
    !tensors.is_empty() && tensors.iter().all(|(name, _)| begins(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Tensor;

    fn names(names: &[&str]) -> Vec<String> {
        let tensors: Params = names.iter().map(|name| ((*name).to_owned(), Tensor::new([1], vec![0.0]))).collect();
        StateDict::new(WeightsFormat::PyTorch, &tensors).tensors.iter().map(|(name, _)| name.to_owned()).collect()
    }

    #[test]
    fn wrappers_are_unwrapped_where_they_are_around_everything() {
        assert_eq!(names(&["module.fc.bias", "module.fc.weight"]), ["fc.bias", "fc.weight"]);
        assert_eq!(names(&["_orig_mod.module.module.fc.bias"]), ["fc.bias"]);
        assert_eq!(names(&["fc.bias", "module.fc.weight"]), ["fc.bias", "module.fc.weight"]);
        assert_eq!(names(&["module."]), ["module."]);
    }
}
