//! Opaque models: ONNX files that graft cannot parse, such as quantized networks and those with operators that graft does
//! not know. graft serves them unchanged, and can replace their head (see [`features`](crate::features)).

use std::collections::{HashMap, HashSet};

use models::channels::{self, ChannelOrder};
use models::ops::{Normalize, Shape, Slice, Span, Transpose};
use models::{GraphBuilder, GraphError, ModelSpec, NodeId, Params};

use crate::edit::{cast, first_dimension, free, names, set_first_dimension};
use crate::error::ImportError;
use crate::export::scores;
use crate::file::{FileError, ModelFile};
use crate::image::{ImageInput, ImageLayout, image_input};
use crate::names::{INPUT, LOGITS, PROBABILITIES};
use crate::proto::{
    Dimension, GraphProto, NodeProto, TensorProto, TensorTypeProto, TypeProto, ValueInfoProto, data_type,
};
use crate::write::{
    Attribute, ExportOptions, GraphParts, GraphWriter, WriterNames, initializers, integers, value_info,
};
use crate::{metadata, ops, write};

/// The convolution from RGB to gray, and its weight.
const GRAY: &str = "graft.gray";
const GRAY_WEIGHT: &str = "graft.gray.weight";

/// The oldest operator set in which a slice takes its bounds as inputs, as graft writes it.
const OLDEST_OPSET: i64 = 10;

/// How to wrap a foreign file as an opaque model.
#[derive(Debug, Clone, Copy)]
pub struct OpaqueOptions<'a> {
    /// Labels and preprocessing, which go into the metadata.
    pub spec: &'a ModelSpec,
    /// The order of the color channels that the network takes.
    pub channel_order: ChannelOrder,
    /// The batch size that the wrapped file declares.
    pub batch: Batching,
    /// How many numbers the file has for an image, if that is known. One number becomes two logits, of which the first is 0.
    pub width: Option<usize>,
}

/// The batch size that a wrapped file declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batching {
    /// Any, whatever the file declares. The network inside may not support it.
    Dynamic,
    /// The size that the file declares.
    Declared,
    /// 1, whatever the file declares.
    One,
}

impl ModelFile {
    /// The batch size that the file fixes; `None` when it takes any.
    ///
    /// # Errors
    /// [`ImportError`] for a file without exactly one image input.
    pub fn fixed_batch(&self) -> Result<Option<i64>, ImportError> {
        Ok(image_input(self.graph()?)?.fixed_batch)
    }

    /// The shape of the image that the file takes, `[channels, height, width]` whatever its layout.
    ///
    /// # Errors
    /// [`ImportError`] for a file without exactly one image input.
    pub fn image_shape(&self) -> Result<Shape, ImportError> {
        Ok(image_input(self.graph()?)?.shape)
    }

    /// The file for images of this `[height, width]`, declared in its input; without a size, as it is.
    ///
    /// # Errors
    /// [`ImportError`] for a file without exactly one image input, [`ImportError::Size`] for one that fixes another size.
    pub fn for_size(&self, size: Option<[usize; 2]>) -> Result<Self, ImportError> {
        let mut file = self.clone();
        if size.is_some() {
            let input = image_input(self.graph()?)?.sized(size)?;
            let graph = file.proto.graph.get_or_insert_default();
            graph.input.iter_mut().filter(|value| value.name == input.name).for_each(|value| input.declare(value));
        }
        Ok(file)
    }

    /// Whether the file takes `f32` images with the channels first, as the engines provide them.
    ///
    /// # Errors
    /// [`ImportError`] for a file without exactly one image input.
    pub fn takes_planes(&self) -> Result<bool, ImportError> {
        let input = image_input(self.graph()?)?;
        Ok(input.layout == ImageLayout::ChannelsFirst && input.elem_type == data_type::FLOAT)
    }

    /// Wraps the file's own nodes: graft's input goes before them (pixels in `0.0..=255.0`, RGB, channels first, which the
    /// wrapped file normalizes), and graft's metadata beside them. The file's first output becomes `logits`; behind them come
    /// `probabilities`, if there are labels. Other outputs stay; see [`ModelFile::scored`].
    ///
    /// # Errors
    /// [`ImportError::Inputs`] and its kind for a file without exactly one image input, [`ImportError::OpaqueOpset`] for an
    /// operator set older than 10.
    pub fn wrap_opaque(&self, options: &OpaqueOptions<'_>) -> Result<Vec<u8>, ImportError> {
        if self.opset() < OLDEST_OPSET {
            return Err(ImportError::OpaqueOpset(self.opset()));
        }
        let mut model = self.clone();
        let input = image_input(self.graph()?)?;
        let Some(graph) = model.proto.graph.as_mut() else { return Err(FileError::NoGraph.into()) };
        let adapter = InputAdapter::new(graph, &input, options)?;
        let tail = ScoreNodes::new(graph, self.opset(), options);
        let mut nodes = adapter.parts.nodes;
        nodes.append(&mut graph.node);
        nodes.extend(tail.nodes);
        graph.node = nodes;
        graph.initializer.extend(adapter.parts.constants.into_iter().chain(tail.constants));
        let batch = graph.input.iter().find(|value| value.name == input.name).and_then(first_dimension);
        graph.input.retain(|value| value.name != input.name);
        graph.input.insert(0, adapter.input);
        graph.output.splice(0..graph.output.len().min(1), tail.outputs);
        let any = Dimension::Param("batch".to_owned());
        let batch = match options.batch {
            Batching::Dynamic => any,
            Batching::Declared => batch.unwrap_or(any),
            Batching::One => Dimension::Value(1),
        };
        graph.input.iter_mut().take(1).chain(&mut graph.output).for_each(|value| set_first_dimension(value, &batch));
        // Recorded shapes of what lies in between may name the old batch.
        graph.value_info.clear();
        metadata::replace(&mut model.proto, options.spec);
        Ok(model.encode())
    }

    pub(crate) fn graph(&self) -> Result<&GraphProto, FileError> {
        self.proto.graph.as_ref().ok_or(FileError::NoGraph)
    }
}

/// The nodes before the file's own: from graft's input to the tensor that they take.
struct InputAdapter {
    input: ValueInfoProto,
    parts: GraphParts,
}

impl InputAdapter {
    fn new(file: &GraphProto, input: &ImageInput, options: &OpaqueOptions<'_>) -> Result<Self, ImportError> {
        let (graph, output) = adapter_graph(input, options)?;
        let graph = graph.finish(output);
        let taken: HashSet<String> = names(file).collect();
        let name = if taken.contains(INPUT) { free("pixels", &taken) } else { INPUT.to_owned() };
        let bare = input.elem_type == data_type::FLOAT;
        let end = if bare { input.name.clone() } else { free(&format!("{}.float", input.name), &taken) };
        let options = ExportOptions { opset: OLDEST_OPSET, ..ExportOptions::default() };
        let names = WriterNames { input: &name, output: &end, converted: HashMap::new() };
        let mut writer = GraphWriter::new(&graph, options, names);
        writer.reserve(taken);
        let mut parts = ops::write(writer);
        let mut params = Params::default();
        params.insert(GRAY_WEIGHT, channels::gray_weight());
        if let Ok(params) = params.select(&graph) {
            parts.constants.extend(initializers(&params, &parts.shapes, options.weights));
        }
        if !bare {
            parts.nodes.push(cast(&end, &input.name, input.elem_type));
        }
        let input = write::image_input(value_info(&name, graph.shape(graph.input())));
        Ok(Self { input, parts })
    }
}

/// Normalization, gray, channel order, layout.
fn adapter_graph(input: &ImageInput, options: &OpaqueOptions<'_>) -> Result<(GraphBuilder, NodeId), GraphError> {
    let gray = input.shape.dims().first() == Some(&1);
    let shape = match *input.shape.dims() {
        [1, height, width] => Shape::image(3, height, width),
        _ => input.shape.clone(),
    };
    let mut graph = GraphBuilder::new(INPUT, shape);
    let mut x = graph.push("graft.normalize", options.spec.preprocess.normalize(), &[graph.input()])?;
    if gray {
        x = channels::push_gray(&mut graph, GRAY, x)?;
        if input.elem_type == data_type::UINT8 {
            // The conversion to bytes behind it rounds down, and PIL rounds to the nearest.
            let half = Normalize { mean: vec![-0.5], std: vec![1.0] };
            x = graph.push("graft.round", half, &[x])?;
        }
    } else if options.channel_order == ChannelOrder::Bgr {
        let (channels, height, width) = graph.chw(x)?;
        let spans = vec![Span::reversed(channels), Span::all(height), Span::all(width)];
        x = graph.push("graft.bgr", Slice { spans }, &[x])?;
    }
    if input.layout == ImageLayout::ChannelsLast {
        x = graph.push("graft.channels_last", Transpose { order: vec![1, 2, 0] }, &[x])?;
    }
    Ok((graph, x))
}

/// The nodes that are appended to a file: from its first output to `logits` and `probabilities`.
struct ScoreNodes {
    outputs: Vec<ValueInfoProto>,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    taken: HashSet<String>,
    /// The tensor that the next node takes.
    at: String,
}

impl ScoreNodes {
    fn new(graph: &GraphProto, opset: i64, options: &OpaqueOptions<'_>) -> Self {
        let output = graph.output.first().cloned().unwrap_or_default();
        let (outputs, nodes, constants) = (vec![], vec![], vec![]);
        let mut tail = Self { outputs, nodes, constants, taken: names(graph).collect(), at: output.name.clone() };
        let logits = tail.named(LOGITS);
        let real = tail.named("graft.real");
        tail.nodes.push(cast(&tail.at, &real, data_type::FLOAT));
        tail.at = real;
        if let Some(width) = options.width.filter(|_| rank(&output) != Some(2)) {
            tail.push("Reshape", &[-1, width as i64]);
        }
        if options.width == Some(1) {
            tail.push("Pad", &[0, 1, 0, 0]);
            // The numbers were an attribute before operator set 11.
            if let Some(node) = tail.nodes.last_mut().filter(|_| opset < 11) {
                node.input.truncate(1);
                node.attribute = vec![Attribute::ints("pads", &[0, 1, 0, 0]).into_proto()];
                tail.constants.pop();
            }
        }
        if let Some(last) = tail.nodes.last_mut() {
            last.output = vec![logits.clone()];
        }
        let declared = match options.width {
            Some(width) => value_info(&logits, &Shape::vector(width.max(2))),
            None => of_floats(output, logits.clone()),
        };
        tail.outputs.push(declared.clone());
        if options.spec.labels.is_some() {
            let probabilities = tail.named(PROBABILITIES);
            tail.nodes.push(scores(options.spec.scores.kind, &logits, &probabilities));
            tail.outputs.push(ValueInfoProto { name: probabilities, ..declared });
        }
        tail
    }

    /// A node that takes whole numbers beside the tensor.
    fn push(&mut self, op_type: &str, numbers: &[i64]) {
        let output = self.named(&format!("graft.{}", op_type.to_lowercase()));
        let constant = self.named(&format!("{output}.numbers"));
        self.constants.push(integers(&constant, numbers));
        self.nodes.push(NodeProto {
            name: output.clone(),
            op_type: op_type.to_owned(),
            input: vec![std::mem::replace(&mut self.at, output.clone()), constant],
            output: vec![output],
            ..NodeProto::default()
        });
    }

    /// This name, or `graft.NAME`, whichever is free.
    fn named(&mut self, name: &str) -> String {
        let name =
            if self.taken.contains(name) { free(&format!("graft.{name}"), &self.taken) } else { name.to_owned() };
        self.taken.insert(name.clone());
        name
    }
}

fn rank(value: &ValueInfoProto) -> Option<usize> {
    Some(value.r#type.as_ref()?.tensor_type.as_ref()?.shape.as_ref()?.dim.len())
}

/// The declaration under another name, of `f32`.
fn of_floats(value: ValueInfoProto, name: String) -> ValueInfoProto {
    let shape = value.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref()?.shape.clone());
    let tensor_type = Some(TensorTypeProto { elem_type: data_type::FLOAT, shape });
    ValueInfoProto { name, r#type: Some(TypeProto { tensor_type, ..TypeProto::default() }), ..value }
}

#[cfg(test)]
mod tests {
    use models::Preprocess;

    use super::*;
    use crate::proto::{ModelProto, OperatorSetIdProto};

    fn node(op_type: &str, input: &str, output: &str) -> NodeProto {
        let (input, output) = (vec![input.to_owned()], vec![output.to_owned()]);
        NodeProto { op_type: op_type.to_owned(), input, output, ..NodeProto::default() }
    }

    /// The wrapped form of a file from `input` to `y`.
    fn wrapped(input: &str, node: Vec<NodeProto>) -> GraphProto {
        let input = vec![value_info(input, &Shape::image(3, 8, 8))];
        let output = vec![ValueInfoProto { name: "y".to_owned(), ..ValueInfoProto::default() }];
        let graph = Some(GraphProto { input, output, node, ..GraphProto::default() });
        let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 13 }];
        let file = ModelFile { proto: ModelProto { graph, opset_import, ..ModelProto::default() } };
        let preprocess = Preprocess::torchvision(8, 8);
        let spec = ModelSpec::new(String::new(), None, preprocess);
        let (channel_order, batch) = (ChannelOrder::Rgb, Batching::Dynamic);
        let options = OpaqueOptions { spec: &spec, channel_order, batch, width: None };
        ModelFile::decode(file.wrap_opaque(&options).unwrap()).unwrap().proto.graph.unwrap()
    }

    #[test]
    fn wrapping_nodes_get_names_that_are_free() {
        let nodes = ["input", "pixels", "logits", "graft.logits", "y"].map(|output| node("Relu", "input", output));
        let graph = wrapped("input", nodes[1..].to_vec());
        assert_eq!((&*graph.input[0].name, &*graph.output[0].name), ("pixels_", "graft.logits_"));
        let mut produced: Vec<&String> = graph.node.iter().flat_map(|node| &node.output).collect();
        produced.sort();
        assert!(produced.windows(2).all(|pair| pair[0] != pair[1]), "{produced:?}");
    }
}
