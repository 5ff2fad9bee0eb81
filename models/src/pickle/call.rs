//! The calls that build tensors, parameters and dictionaries.

use super::heap::{Heap, Object, Path, Value};
use super::view::{Storage, StridedView};
use super::{PickleError, STEP};
use crate::budget::Budget;

/// The most dimensions of a tensor. Weights have four; a file that claims more could make every tensor cost as much time
/// as there are dimensions.
const MAX_RANK: usize = 8;

impl<'a> Heap<'a> {
    /// The value of a call, built without calling anything.
    ///
    /// # Errors
    /// When the arguments do not describe the tensor, parameter or dictionary that the callee makes.
    pub(super) fn call(
        &mut self,
        callee: Path<'a>,
        arguments: Value<'a>,
        budget: &mut Budget,
    ) -> Result<Value<'a>, PickleError> {
        let wrong = || PickleError::Arguments { callee: callee.to_string() };
        // Few are looked at, and none is copied that is not.
        let arguments: Vec<Value<'a>> = self.items(arguments).ok_or_else(wrong)?.iter().take(7).copied().collect();
        match (callee.module, callee.name) {
            ("collections", "OrderedDict") => match arguments.first() {
                None => Ok(self.add(Object::Dict(Vec::new()))),
                // Python 2 gives the pairs as the only argument. That list can be named again and again for a few bytes,
                // and is copied each time.
                Some(pairs) => {
                    budget.spend(STEP * self.items(*pairs).ok_or_else(wrong)?.len() as u64)?;
                    self.dict_of_pairs(*pairs).ok_or_else(wrong)
                }
            },
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => {
                if arguments.get(6).is_some_and(|marks| self.is_marked(*marks)) {
                    return Err(PickleError::Lazy);
                }
                self.tensor(&arguments).ok_or_else(wrong)
            }
            // The parameter is the tensor that it wraps. PyTorch 0.3 and earlier called the class itself.
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state")
            | ("torch.nn.parameter", "Parameter") => arguments.first().copied().ok_or_else(wrong),
            // The module's name changed with NumPy 2.
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Ok(self.add(Object::Array(None))),
            _ => Ok(self.add(Object::Opaque(callee))),
        }
    }

    fn dict_of_pairs(&mut self, pairs: Value<'a>) -> Option<Value<'a>> {
        let pair = |item: &Value<'a>| match self.items(*item)? {
            [key, value] => Some((*key, *value)),
            _ => None,
        };
        let pairs = self.items(pairs)?.iter().map(pair).collect::<Option<Vec<_>>>()?;
        Some(self.add(Object::Dict(pairs)))
    }

    /// Whether the marks of a tensor, PyTorch's `{'neg': True}` and `{'conj': True}`, say that its numbers are not those of
    /// its storage.
    fn is_marked(&self, marks: Value<'a>) -> bool {
        match self.pairs(marks) {
            Some(pairs) => !pairs.is_empty(),
            None => marks != Value::None,
        }
    }

    /// `(storage, offset, shape, strides, …)`.
    fn tensor(&mut self, arguments: &[Value<'a>]) -> Option<Value<'a>> {
        let [storage, offset, shape, strides, ..] = arguments else { return None };
        let Object::Storage(storage) = self.object(*storage)? else { return None };
        let view = StridedView {
            storage: **storage,
            offset: index(*offset)?,
            shape: self.indices(*shape)?,
            strides: self.indices(*strides)?,
        };
        (view.shape.len() == view.strides.len()).then(|| self.add(Object::Tensor(Box::new(view))))
    }

    fn indices(&self, value: Value<'a>) -> Option<Vec<usize>> {
        let items = self.items(value)?;
        (items.len() <= MAX_RANK).then(|| items.iter().map(|item| index(*item)).collect())?
    }

    /// What a persistent id refers to: `("storage", class, key, device, elements)` and in the older format a sixth item,
    /// which is none or `(key, offset, elements)` for a part of that storage; or `("module", class, …)`.
    pub(super) fn persistent(&mut self, id: Value<'a>) -> Option<Value<'a>> {
        match *self.items(id)? {
            [Value::Text("storage"), class, Value::Text(key), _, _, ref part @ ..] => {
                let class = self.global(class)?.name;
                let offset = match part.first() {
                    None | Some(Value::None) => 0,
                    Some(part) => index(*self.items(*part)?.get(1)?)?,
                };
                self.storages.entry(key).or_insert(class);
                Some(self.add(Object::Storage(Box::new(Storage { class, key, offset }))))
            }
            [Value::Text("module"), class, ..] => Some(class),
            _ => None,
        }
    }
}

fn index(value: Value<'_>) -> Option<usize> {
    match value {
        Value::Int(int) => usize::try_from(int).ok(),
        _ => None,
    }
}
