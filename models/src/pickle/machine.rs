//! The machine: a stack of values, the marks in it, and the memo.

use std::collections::HashMap;

use super::heap::{Heap, Object, Path, Value};
use super::opcode as op;
use super::reader::ByteReader;
use super::{PickleError, STEP};
use crate::budget::Budget;

/// The highest supported protocol.
const MAX_PROTOCOL: u8 = 5;

/// Runs one pickle up to its end and returns the value on the stack.
pub(crate) fn load<'a>(
    reader: &mut ByteReader<'a>,
    heap: &mut Heap<'a>,
    budget: &mut Budget,
) -> Result<Value<'a>, PickleError> {
    let mut machine = Machine { reader, heap, budget, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
    loop {
        machine.budget.spend(STEP)?;
        let at = machine.reader.position();
        match machine.reader.byte()? {
            op::STOP => return machine.pop().ok_or(PickleError::Operands { at }),
            opcode => machine.step(opcode, at)?,
        }
    }
}

struct Machine<'a, 'm> {
    reader: &'m mut ByteReader<'a>,
    heap: &'m mut Heap<'a>,
    budget: &'m mut Budget,
    stack: Vec<Value<'a>>,
    /// The height of the stack at each open mark.
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
}

impl<'a> Machine<'a, '_> {
    /// Carries out one instruction.
    fn step(&mut self, opcode: u8, at: usize) -> Result<(), PickleError> {
        let done = match opcode {
            op::PROTO => match self.reader.byte()? {
                0..=MAX_PROTOCOL => Some(()),
                protocol => return Err(PickleError::Protocol(protocol)),
            },
            // Frames only say how much to read ahead.
            op::FRAME => self.reader.array::<8>().map(|_| Some(()))?,
            op::MARK | op::POP | op::POP_MARK | op::DUP => self.arrange(opcode),
            op::BINPUT | op::LONG_BINPUT | op::MEMOIZE | op::BINGET | op::LONG_BINGET => self.remember(opcode)?,
            op::APPEND | op::APPENDS | op::SETITEM | op::SETITEMS | op::ADDITEMS | op::BUILD => self.fill(opcode),
            op::GLOBAL | op::STACK_GLOBAL | op::EXT1 | op::EXT2 | op::EXT4 => self.name(opcode)?,
            op::REDUCE | op::NEWOBJ | op::NEWOBJ_EX | op::BINPERSID => self.make(opcode)?,
            op::EMPTY_TUPLE
            | op::TUPLE1
            | op::TUPLE2
            | op::TUPLE3
            | op::TUPLE
            | op::EMPTY_LIST
            | op::LIST
            | op::EMPTY_DICT
            | op::DICT
            | op::EMPTY_SET
            | op::FROZENSET => self.collect(opcode),
            _ => {
                let value = self.constant(opcode)?.ok_or(PickleError::Opcode { opcode, at })?;
                self.push(value)
            }
        };
        done.ok_or(PickleError::Operands { at })
    }

    /// A literal value in the pickle; `None` for an unknown instruction.
    fn constant(&mut self, opcode: u8) -> Result<Option<Value<'a>>, PickleError> {
        let reader = &mut *self.reader;
        Ok(Some(match opcode {
            op::NONE => Value::None,
            op::NEWTRUE => Value::Bool(true),
            op::NEWFALSE => Value::Bool(false),
            op::BININT => Value::Int(i32::from_le_bytes(reader.array()?).into()),
            op::BININT1 => Value::Int(reader.byte()?.into()),
            op::BININT2 => Value::Int(u16::from_le_bytes(reader.array()?).into()),
            op::LONG1 => long(reader.counted_by_1()?),
            op::LONG4 => long(reader.counted_by_4()?),
            op::BINFLOAT => Value::Float(f64::from_be_bytes(reader.array()?)),
            op::SHORT_BINSTRING | op::SHORT_BINUNICODE => text(reader.counted_by_1()?),
            op::BINSTRING | op::BINUNICODE => text(reader.counted_by_4()?),
            op::BINUNICODE8 => text(reader.counted_by_8()?),
            op::SHORT_BINBYTES => Value::Bytes(reader.counted_by_1()?),
            op::BINBYTES => Value::Bytes(reader.counted_by_4()?),
            op::BINBYTES8 | op::BYTEARRAY8 => Value::Bytes(reader.counted_by_8()?),
            _ => return Ok(None),
        }))
    }

    fn arrange(&mut self, opcode: u8) -> Option<()> {
        match opcode {
            op::MARK => self.marks.push(self.stack.len()),
            // A pop right behind a mark takes the mark away.
            op::POP if self.marks.last() == Some(&self.stack.len()) => self.marks.truncate(self.marks.len() - 1),
            op::POP => drop(self.pop_many(1)?),
            op::POP_MARK => drop(self.pop_to_mark()?),
            _ => self.push(self.top()?)?,
        }
        Some(())
    }

    fn remember(&mut self, opcode: u8) -> Result<Option<()>, PickleError> {
        let slot = match opcode {
            op::BINPUT | op::BINGET => self.reader.byte()?.into(),
            op::LONG_BINPUT | op::LONG_BINGET => u32::from_le_bytes(self.reader.array()?),
            _ => self.memo.len() as u32,
        };
        Ok(match opcode {
            op::BINGET | op::LONG_BINGET => self.memo.get(&slot).copied().and_then(|value| self.push(value)),
            _ => self.top().map(|top| {
                self.memo.insert(slot, top);
            }),
        })
    }

    /// Tuples, lists, dictionaries and sets from what is on the stack.
    fn collect(&mut self, opcode: u8) -> Option<()> {
        let object = match opcode {
            op::EMPTY_TUPLE => Object::Tuple(Vec::new()),
            op::TUPLE1 | op::TUPLE2 | op::TUPLE3 => Object::Tuple(self.pop_many(usize::from(opcode - op::TUPLE1) + 1)?),
            op::TUPLE => Object::Tuple(self.pop_to_mark()?),
            op::EMPTY_LIST => Object::List(Vec::new()),
            op::LIST => Object::List(self.pop_to_mark()?),
            op::EMPTY_DICT => Object::Dict(Vec::new()),
            op::DICT => Object::Dict(pairs(&self.pop_to_mark()?)?),
            op::EMPTY_SET => Object::Opaque(Path { module: "", name: "set" }),
            _ => {
                self.pop_to_mark()?;
                Object::Opaque(Path { module: "", name: "frozenset" })
            }
        };
        let value = self.heap.add(object);
        self.push(value)
    }

    /// Adds to the container on the stack, or sets the state of an array. The items of an opaque object and the attributes
    /// of any other are dropped.
    fn fill(&mut self, opcode: u8) -> Option<()> {
        let items = match opcode {
            op::APPEND | op::BUILD => self.pop_many(1)?,
            op::SETITEM => self.pop_many(2)?,
            _ => self.pop_to_mark()?,
        };
        let target = self.top()?;
        let array = if opcode == op::BUILD { self.heap.array_bytes(*items.first()?) } else { None };
        match (opcode, self.heap.object_mut(target)?) {
            (op::BUILD, Object::Array(bytes)) => *bytes = array,
            (op::BUILD, _) | (_, Object::Opaque(_)) => {}
            (op::APPEND | op::APPENDS, Object::List(list)) => list.extend(items),
            (op::SETITEM | op::SETITEMS, Object::Dict(dict)) => dict.extend(pairs(&items)?),
            _ => return None,
        }
        Some(())
    }

    fn name(&mut self, opcode: u8) -> Result<Option<()>, PickleError> {
        let path = match opcode {
            op::GLOBAL => Path { module: self.reader.line()?, name: self.reader.line()? },
            op::STACK_GLOBAL => match self.pop_many(2).as_deref() {
                Some([Value::Text(module), Value::Text(name)]) => Path { module, name },
                _ => return Ok(None),
            },
            _ => {
                self.reader.take(1 << (opcode - op::EXT1))?;
                Path { module: "copyreg", name: "extension" }
            }
        };
        let value = self.heap.add(Object::Global(path));
        Ok(self.push(value))
    }

    /// The instructions that would call something; they only build values.
    fn make(&mut self, opcode: u8) -> Result<Option<()>, PickleError> {
        let operands = match opcode {
            op::NEWOBJ_EX => self.pop_many(3),
            op::BINPERSID => self.pop_many(1),
            _ => self.pop_many(2),
        };
        let value = match operands.as_deref() {
            Some([id]) => self.heap.persistent(*id),
            Some([callee, arguments, ..]) => match self.heap.object(*callee) {
                Some(Object::Global(path) | Object::Opaque(path)) => {
                    let path = *path;
                    Some(self.heap.call(path, *arguments, self.budget)?)
                }
                _ => None,
            },
            _ => None,
        };
        Ok(value.and_then(|value| self.push(value)))
    }

    fn push(&mut self, value: Value<'a>) -> Option<()> {
        self.stack.push(value);
        Some(())
    }

    /// The number of values above the last mark, below which no instruction may reach.
    fn above_mark(&self) -> usize {
        self.stack.len() - self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Option<Value<'a>> {
        (self.above_mark() > 0).then(|| self.stack.last().copied())?
    }

    fn pop(&mut self) -> Option<Value<'a>> {
        (self.above_mark() > 0).then(|| self.stack.pop())?
    }

    fn pop_many(&mut self, count: usize) -> Option<Vec<Value<'a>>> {
        (self.above_mark() >= count).then(|| self.stack.split_off(self.stack.len() - count))
    }

    fn pop_to_mark(&mut self) -> Option<Vec<Value<'a>>> {
        let mark = self.marks.pop()?;
        Some(self.stack.split_off(mark))
    }
}

/// Keys and values in turn.
fn pairs<'a>(items: &[Value<'a>]) -> Option<Vec<(Value<'a>, Value<'a>)>> {
    let (pairs, rest) = items.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[key, value]| (*key, *value)).collect())
}

/// An integer in two's complement.
fn long(bytes: &[u8]) -> Value<'_> {
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut wide = [if negative { 0xff } else { 0 }; 8];
    match wide.get_mut(..bytes.len()) {
        Some(low) => {
            low.copy_from_slice(bytes);
            Value::Int(i64::from_le_bytes(wide))
        }
        None => Value::Long(bytes),
    }
}

/// Python 2 did not tell text from bytes.
fn text(bytes: &[u8]) -> Value<'_> {
    std::str::from_utf8(bytes).map_or(Value::Bytes(bytes), Value::Text)
}
