//! The values that a pickle makes.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use crate::weights::pytorch::view::View;

/// A value. Text and bytes are parts of the file; everything made of other values is an object on the heap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::weights::pytorch) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// An integer of more than eight bytes, little-endian.
    Long(&'a [u8]),
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    Object(ObjectId),
}

/// A place on the heap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::weights::pytorch) struct ObjectId(usize);

/// Something made of other values.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::weights::pytorch) enum Object<'a> {
    Tuple(Vec<Value<'a>>),
    List(Vec<Value<'a>>),
    /// In the order of the file; of two equal keys the later holds.
    Dict(Vec<(Value<'a>, Value<'a>)>),
    /// A class or function, never looked up.
    Global(Path<'a>),
    Storage(Box<Storage<'a>>),
    Tensor(Box<View<'a>>),
    /// What calling this would have made.
    Opaque(Path<'a>),
}

/// The name of a class or function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::weights::pytorch) struct Path<'a> {
    pub(in crate::weights::pytorch) module: &'a str,
    pub(in crate::weights::pytorch) name: &'a str,
}

impl Display for Path<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.module {
            "" => f.write_str(self.name),
            module => write!(f, "{module}.{}", self.name),
        }
    }
}

/// A block of numbers outside of the pickle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::weights::pytorch) struct Storage<'a> {
    /// The name of its class, such as `FloatStorage`.
    pub(in crate::weights::pytorch) class: &'a str,
    /// What it is filed under.
    pub(in crate::weights::pytorch) key: &'a str,
    /// Where it begins in what is filed there, in elements. Nought but in files of PyTorch 0.1, where a storage could
    /// be a part of another.
    pub(in crate::weights::pytorch) offset: usize,
}

/// All objects of a file.
#[derive(Debug, Default)]
pub(in crate::weights::pytorch) struct Heap<'a> {
    objects: Vec<Object<'a>>,
    /// The class of each storage that was named, by its key.
    pub(in crate::weights::pytorch) storages: BTreeMap<&'a str, &'a str>,
}

impl<'a> Heap<'a> {
    /// Keeps an object.
    pub(super) fn add(&mut self, object: Object<'a>) -> Value<'a> {
        let id = ObjectId(self.objects.len());
        self.objects.push(object);
        Value::Object(id)
    }

    /// The object that a value is.
    pub(in crate::weights::pytorch) fn object(&self, value: Value<'a>) -> Option<&Object<'a>> {
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
    pub(in crate::weights::pytorch) fn items(&self, value: Value<'a>) -> Option<&[Value<'a>]> {
        match self.object(value)? {
            Object::Tuple(items) | Object::List(items) => Some(items),
            _ => None,
        }
    }

    /// The pairs of a dictionary.
    pub(in crate::weights::pytorch) fn pairs(&self, value: Value<'a>) -> Option<&[(Value<'a>, Value<'a>)]> {
        match self.object(value)? {
            Object::Dict(pairs) => Some(pairs),
            _ => None,
        }
    }
}
