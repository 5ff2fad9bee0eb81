//! The values that a pickle makes.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use super::view::{Storage, StridedView};

/// A Python value. Text and bytes borrow from the file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Python's `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer of up to eight bytes.
    Int(i64),
    /// An integer of more than eight bytes, little-endian.
    Long(&'a [u8]),
    /// Python's `float`, which has eight bytes.
    Float(f64),
    /// A `str`, or a string of Python 2 that is UTF-8.
    Text(&'a str),
    /// A `bytes` or `bytearray`, or a string of Python 2 that is not UTF-8.
    Bytes(&'a [u8]),
    /// Anything that holds other values.
    Object(ObjectId),
}

/// The index of an object among those of its pickle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectId(usize);

/// A value that contains others.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Object<'a> {
    Tuple(Vec<Value<'a>>),
    List(Vec<Value<'a>>),
    /// In the order of the file; the later of two equal keys wins.
    Dict(Vec<(Value<'a>, Value<'a>)>),
    /// A class or function, never looked up.
    Global(Path<'a>),
    Storage(Box<Storage<'a>>),
    Tensor(Box<StridedView<'a>>),
    /// A NumPy array: the bytes of its elements in row-major order, once its state is set.
    Array(Option<&'a [u8]>),
    /// The result of a call that `call` does not know, by the callee's name.
    Opaque(Path<'a>),
}

/// The name of a class or function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Path<'a> {
    pub(crate) module: &'a str,
    pub(crate) name: &'a str,
}

impl Display for Path<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.module {
            "" => f.write_str(self.name),
            module => write!(f, "{module}.{}", self.name),
        }
    }
}

/// All objects of a file.
#[derive(Debug, Default)]
pub(crate) struct Heap<'a> {
    objects: Vec<Object<'a>>,
    /// The class of each storage that was named, by its key.
    pub(crate) storages: BTreeMap<&'a str, &'a str>,
}

impl<'a> Heap<'a> {
    /// Keeps an object.
    pub(super) fn add(&mut self, object: Object<'a>) -> Value<'a> {
        let id = ObjectId(self.objects.len());
        self.objects.push(object);
        Value::Object(id)
    }

    /// The object that a value is.
    pub(crate) fn object(&self, value: Value<'a>) -> Option<&Object<'a>> {
        match value {
            Value::Object(id) => self.objects.get(id.0),
            _ => None,
        }
    }

    pub(super) fn object_mut(&mut self, value: Value<'a>) -> Option<&mut Object<'a>> {
        match value {
            Value::Object(id) => self.objects.get_mut(id.0),
            _ => None,
        }
    }

    /// The name of the class or function that a value is.
    pub(super) fn global(&self, value: Value<'a>) -> Option<Path<'a>> {
        match self.object(value)? {
            Object::Global(path) => Some(*path),
            _ => None,
        }
    }

    /// The items of a tuple or list.
    pub(crate) fn items(&self, value: Value<'a>) -> Option<&[Value<'a>]> {
        match self.object(value)? {
            Object::Tuple(items) | Object::List(items) => Some(items),
            _ => None,
        }
    }

    /// The pairs of a dictionary.
    pub(crate) fn pairs(&self, value: Value<'a>) -> Option<&[(Value<'a>, Value<'a>)]> {
        match self.object(value)? {
            Object::Dict(pairs) => Some(pairs),
            _ => None,
        }
    }

    /// The bytes of a text, a byte string or a NumPy array.
    pub(super) fn bytes(&self, value: Value<'a>) -> Option<&'a [u8]> {
        match value {
            Value::Text(text) => Some(text.as_bytes()),
            Value::Bytes(bytes) => Some(bytes),
            _ => match self.object(value)? {
                Object::Array(bytes) => *bytes,
                _ => None,
            },
        }
    }

    /// The element bytes in the state of a NumPy array: `(version, shape, dtype, is_fortran, bytes)`. Arrays in column-major
    /// order and arrays of objects have none.
    pub(super) fn array_bytes(&self, state: Value<'a>) -> Option<&'a [u8]> {
        match *self.items(state)? {
            [Value::Int(1), _, _, Value::Bool(false), bytes @ (Value::Text(_) | Value::Bytes(_))] => self.bytes(bytes),
            _ => None,
        }
    }

    /// The callees that `call` does not know, in the order of the file.
    pub(super) fn opaque_calls(&self) -> impl Iterator<Item = &Path<'a>> {
        self.objects.iter().filter_map(|object| match object {
            Object::Opaque(path) => Some(path),
            _ => None,
        })
    }
}
