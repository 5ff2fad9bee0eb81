//! Changes to what a graph says.

use super::choice::Choice;
use crate::proto::{
    AttributeProto, Dimension, DimensionProto, GraphProto, NodeProto, TensorProto, ValueInfoProto, data_type,
};

/// Attributes that are numbers or lists of them, of all operators that are read.
const ATTRIBUTES: &str = "alpha axes axis beta ceil_mode count_include_pad dilations ends epsilon group keepdims \
    kernel_shape momentum pads perm shape size split starts steps strides to transB";
/// Operators that are read, and some that are not.
const OPERATORS: &str = "Add AveragePool BatchNormalization Cast Ceil Clip Concat Constant ConstantOfShape Conv \
    DequantizeLinear Div Dropout Elu Flatten Floor Gather Gemm GlobalAveragePool GlobalMaxPool HardSigmoid HardSwish \
    Identity LRN LeakyRelu MatMul MaxPool Mul Pad QLinearConv QuantizeLinear ReduceMean Relu Reshape Resize Shape Sigmoid \
    Slice Softmax Split Sqrt Squeeze Sub Sum Tanh Transpose Unsqueeze";
/// Types of numbers, one that does not exist among them.
const TYPES: [i32; 10] = [
    data_type::FLOAT,
    data_type::UINT8,
    data_type::INT8,
    data_type::INT32,
    data_type::INT64,
    data_type::BOOL,
    data_type::FLOAT16,
    data_type::DOUBLE,
    data_type::BFLOAT16,
    99,
];
/// The most bytes that a tensor is made to have, so that its dimensions come out right.
const LARGEST_TENSOR: i64 = 1 << 12;

/// One change.
pub(super) fn change(graph: &mut GraphProto, choice: &mut Choice) {
    let names = Names::of(graph);
    match choice.below(16) {
        0 => choice.of_mut(&mut graph.node).into_iter().for_each(|node| node.op_type = choice.word(OPERATORS)),
        1..=3 => rename(graph, &names, choice),
        4 => insert(graph, &names, choice),
        5 => duplicate(graph, choice),
        6 => remove(graph, choice),
        7 => swap(graph, choice),
        8..=11 => choice.of_mut(&mut graph.node).into_iter().for_each(|node| attribute(node, choice)),
        12 | 13 => tensors(graph, choice).into_iter().for_each(|tensor| self::tensor(tensor, choice)),
        14 => choice.of_mut(&mut graph.input).into_iter().for_each(|input| shape(input, choice)),
        _ => put_out(graph, &names, choice),
    }
}

/// The nodes of a second graph behind those of the first. Its names get a prefix, so that they are its own.
pub(super) fn append(first: &mut GraphProto, mut second: GraphProto, prefix: &str) {
    let initializers: Vec<&String> = second.initializer.iter().map(|tensor| &tensor.name).collect();
    let input = second.input.iter().map(|input| &input.name).find(|name| !initializers.contains(name)).cloned();
    let output = first.output.first().map(|output| output.name.clone()).unwrap_or_default();
    let renamed = |name: &mut String| match () {
        () if name.is_empty() => {}
        () if Some(&*name) == input.as_ref() => name.clone_from(&output),
        () => name.insert_str(0, prefix),
    };
    second.initializer.iter_mut().map(|tensor| &mut tensor.name).for_each(renamed);
    let values = second.node.iter_mut().flat_map(|node| node.input.iter_mut().chain(&mut node.output));
    values.chain(second.output.iter_mut().map(|output| &mut output.name)).for_each(renamed);
    first.node.append(&mut second.node);
    first.initializer.append(&mut second.initializer);
    first.output = second.output;
}

/// What a node can take.
struct Names {
    /// What is computed, and the inputs.
    values: Vec<String>,
    initializers: Vec<String>,
}

impl Names {
    fn of(graph: &GraphProto) -> Self {
        let inputs = graph.input.iter().map(|input| &input.name);
        let values = inputs.chain(graph.node.iter().flat_map(|node| &node.output)).cloned().collect();
        Self { values, initializers: graph.initializer.iter().map(|tensor| tensor.name.clone()).collect() }
    }

    /// One of them. The first input of a node is seldom stored.
    fn choose(&self, first: bool, choice: &mut Choice) -> String {
        let all = if first != choice.one_in(8) || self.initializers.is_empty() { &self.values } else { &self.initializers };
        if choice.one_in(32) { String::new() } else { choice.of(all).cloned().unwrap_or_default() }
    }
}

/// A node that takes something else, or puts it out.
fn rename(graph: &mut GraphProto, names: &Names, choice: &mut Choice) {
    let Some(node) = choice.of_mut(&mut graph.node) else { return };
    match choice.below(16) {
        0 => node.name = names.choose(true, choice),
        1 => choice.of_mut(&mut node.output).into_iter().for_each(|output| *output = names.choose(true, choice)),
        2 | 3 => node.input.push(names.choose(false, choice)),
        4 => drop(node.input.pop()),
        _ if node.input.is_empty() => {}
        _ => {
            let at = choice.below(node.input.len());
            node.input[at] = names.choose(at == 0, choice);
        }
    }
}

/// A new node before another, one of whose inputs goes through it.
fn insert(graph: &mut GraphProto, names: &Names, choice: &mut Choice) {
    let at = choice.below(graph.node.len() + 1);
    let output = format!("v{}", choice.below(1 << 16));
    let slot = match graph.node.get_mut(at) {
        Some(node) => choice.of_mut(&mut node.input),
        None => graph.output.first_mut().map(|output| &mut output.name),
    };
    let Some(slot) = slot else { return };
    let previous = std::mem::replace(slot, output.clone());
    let mut input = vec![previous];
    (0..choice.below(3)).for_each(|_| input.push(names.choose(false, choice)));
    let mut node = NodeProto { op_type: choice.word(OPERATORS), input, output: vec![output], ..NodeProto::default() };
    (0..choice.below(3)).for_each(|_| attribute(&mut node, choice));
    graph.node.insert(at, node);
}

/// A node once more, with an output of its own.
fn duplicate(graph: &mut GraphProto, choice: &mut Choice) {
    let Some(mut node) = choice.of(&graph.node).cloned() else { return };
    if let Some(output) = node.output.first_mut() {
        let input = choice.of_mut(&mut node.input);
        input.into_iter().for_each(|input| input.clone_from(output));
        *output = format!("v{}", choice.below(1 << 16));
    }
    graph.output.first_mut().into_iter().for_each(|last| last.name = node.output.first().cloned().unwrap_or_default());
    graph.node.push(node);
}

/// A node fewer: who takes its output takes its input.
fn remove(graph: &mut GraphProto, choice: &mut Choice) {
    if graph.node.is_empty() {
        return;
    }
    let node = graph.node.remove(choice.below(graph.node.len()));
    let (Some(output), Some(input)) = (node.output.first(), node.input.first()) else { return };
    let inputs = graph.node.iter_mut().flat_map(|node| &mut node.input);
    let outputs = graph.output.iter_mut().map(|output| &mut output.name);
    inputs.chain(outputs).filter(|name| *name == output).for_each(|name| name.clone_from(input));
}

fn swap(graph: &mut GraphProto, choice: &mut Choice) {
    if let count @ 1.. = graph.node.len() {
        graph.node.swap(choice.below(count), choice.below(count));
    }
}

/// Another, a changed, or one attribute fewer.
fn attribute(node: &mut NodeProto, choice: &mut Choice) {
    let at = choice.below(node.attribute.len() + 1);
    match node.attribute.get_mut(at) {
        Some(_) if choice.one_in(8) => drop(node.attribute.remove(at)),
        Some(AttributeProto { t: Some(tensor), .. }) => self::tensor(tensor, choice),
        Some(AttributeProto { f: Some(number), .. }) => *number = choice.real(),
        Some(AttributeProto { i: Some(number), .. }) => choice.number(number),
        Some(attribute) => choice.numbers(&mut attribute.ints),
        None => {
            let name = choice.word(ATTRIBUTES);
            let mut attribute = AttributeProto { name, ..AttributeProto::default() };
            match choice.below(3) {
                0 => attribute.f = Some(choice.real()),
                1 => choice.number(attribute.i.insert(0)),
                _ => (0..=choice.below(4)).for_each(|_| choice.numbers(&mut attribute.ints)),
            }
            node.attribute.push(attribute);
        }
    }
}

/// A tensor of the file, an attribute's included.
fn tensors<'g>(graph: &'g mut GraphProto, choice: &mut Choice) -> Option<&'g mut TensorProto> {
    let constants = graph.node.iter_mut().flat_map(|node| &mut node.attribute).filter_map(|a| a.t.as_mut());
    let mut all: Vec<&mut TensorProto> = graph.initializer.iter_mut().chain(constants).collect();
    (!all.is_empty()).then(|| all.swap_remove(choice.below(all.len())))
}

/// Other dimensions, another type, or other numbers. Mostly there are as many of these as the dimensions say.
fn tensor(tensor: &mut TensorProto, choice: &mut Choice) {
    match choice.below(4) {
        0 => tensor.data_type = TYPES[choice.below(TYPES.len())],
        1 => number(tensor, choice),
        _ => choice.numbers(&mut tensor.dims),
    }
    let width = match tensor.data_type {
        data_type::BOOL | data_type::INT8 | data_type::UINT8 => 1,
        data_type::FLOAT16 | data_type::BFLOAT16 => 2,
        data_type::INT64 | data_type::DOUBLE => 8,
        _ => 4,
    };
    let length = tensor.dims.iter().try_fold(width, |length: i64, &dim| length.checked_mul(dim));
    if let Some(length @ 0..=LARGEST_TENSOR) = length
        && !choice.one_in(8)
    {
        let mut bytes = tensor.raw_data.to_vec();
        bytes.resize(length as usize, 0);
        *tensor = TensorProto {
            name: std::mem::take(&mut tensor.name),
            dims: std::mem::take(&mut tensor.dims),
            data_type: tensor.data_type,
            raw_data: bytes.into(),
            ..TensorProto::default()
        };
    }
}

/// Another number in a tensor of real numbers, or of whole ones of eight bytes.
fn number(tensor: &mut TensorProto, choice: &mut Choice) {
    let mut bytes = tensor.raw_data.to_vec();
    if tensor.data_type == data_type::INT64 {
        if let Some(word) = choice.of_mut(bytes.as_chunks_mut::<8>().0) {
            let mut number = i64::from_le_bytes(*word);
            choice.number(&mut number);
            *word = number.to_le_bytes();
        }
    } else if let Some(word) = choice.of_mut(bytes.as_chunks_mut::<4>().0) {
        *word = choice.real().to_le_bytes();
    }
    tensor.raw_data = bytes.into();
}

/// An input of another shape or type.
fn shape(input: &mut ValueInfoProto, choice: &mut Choice) {
    let Some(tensor) = input.r#type.as_mut().and_then(|kind| kind.tensor_type.as_mut()) else { return };
    if choice.one_in(8) {
        tensor.elem_type = TYPES[choice.below(TYPES.len())];
    }
    let Some(shape) = tensor.shape.as_mut() else { return };
    let value = |dim: &DimensionProto| match dim.value {
        Some(Dimension::Value(value)) => value,
        _ => -1,
    };
    let mut dims: Vec<i64> = shape.dim.iter().map(value).collect();
    if choice.one_in(8) {
        choice.numbers(&mut dims)
    } else {
        choice.of_mut(&mut dims).into_iter().for_each(|dim| choice.number(dim))
    }
    let dim = |value: i64| match value {
        -1 => Dimension::Param("n".to_owned()),
        value => Dimension::Value(value),
    };
    shape.dim =
        dims.into_iter().map(|value| DimensionProto { value: Some(dim(value)), ..DimensionProto::default() }).collect();
}

/// Something else comes out, or once more.
fn put_out(graph: &mut GraphProto, names: &Names, choice: &mut Choice) {
    let name = names.choose(true, choice);
    match graph.output.first_mut() {
        Some(output) if !choice.one_in(4) => output.name = name,
        _ => graph.output.push(ValueInfoProto { name, ..ValueInfoProto::default() }),
    }
}
