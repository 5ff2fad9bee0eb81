"""Small ONNX models, one for each spelling of an operator that files in the wild use, from operator set 7 to 22, with what
ONNX's reference implementation makes of an input. For tests/tests/spellings.rs.

    pip install onnx onnxruntime numpy; python tests/reference/spellings.py

Writes tests/data/spellings/NAME.onnx, and tests/data/spellings.json with input and output of each. ONNX Runtime must agree
with the reference implementation wherever it knows the operator set.
"""

import json
import pathlib
import shutil

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

onnxruntime.set_default_logger_severity(3)
TARGET = pathlib.Path(__file__).parent.parent / "data"
FLOAT, FLOAT16, UINT8, INT64 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.UINT8, TensorProto.INT64
RNG = np.random.default_rng(17)
CASES = {}


def floats(*shape, low=-1.0, high=1.0):
    return RNG.uniform(low, high, size=shape).astype(np.float32)


def ints(*values):
    return np.array(values, dtype=np.int64)


def node(op, inputs, output="y", **attributes):
    outputs = [output] if isinstance(output, str) else output
    return helper.make_node(op, inputs, outputs, **attributes)


def case(name, nodes, constants=None, *, opset=13, shape=("n", 3, 7, 6), kind=FLOAT, listed=False):
    """Registers a model from `x` to `y`. A batch of a named size is run with two images."""
    constants = {} if constants is None else constants
    nodes = [nodes] if isinstance(nodes, onnx.NodeProto) else nodes
    inputs = [helper.make_tensor_value_info("x", kind, shape)]
    if listed:
        inputs += [helper.make_tensor_value_info(key, FLOAT, value.shape) for key, value in constants.items()]
    tensors = [value if isinstance(value, TensorProto) else numpy_helper.from_array(value, key) for key, value in constants.items()]
    graph = helper.make_graph(nodes, name, inputs, [helper.make_tensor_value_info("y", FLOAT, [])], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], producer_name="spellings.py")
    model.ir_version = 8 if opset < 19 else 10
    CASES[name] = (model, [2 if isinstance(dim, str) else dim for dim in shape], kind)


def conv(inputs, output="y", **attributes):
    return node("Conv", inputs, output, **attributes)


# Functions of one number.
case("clip_attributes", node("Clip", ["x"], min=-0.5, max=0.25), opset=7)
case("clip_inputs", node("Clip", ["x", "low", "high"]), {"low": np.float32(-0.5), "high": np.float32(0.25)})
case("clip_below", node("Clip", ["x", "low"]), {"low": np.float32(-0.5)})
case("clip_as_relu", node("Clip", ["x", "low"]), {"low": np.float32(0)})
case("leaky_relu", node("LeakyRelu", ["x"], alpha=0.3))
case("sigmoid", node("Sigmoid", ["x"]), opset=7)
case("hard_sigmoid", node("HardSigmoid", ["x"], alpha=0.25, beta=0.4))
case("hard_swish", node("HardSwish", ["x"]), opset=14)
case("hard_swish_in_parts", [node("HardSigmoid", ["x"], "g", alpha=1 / 6, beta=0.5), node("Mul", ["x", "g"])])
case("swish", [node("Sigmoid", ["x"], "g"), node("Mul", ["g", "x"])])
case("tanh", node("Tanh", ["x"]))
case("elu", node("Elu", ["x"], alpha=0.7))
case("roots", [node("Abs", ["x"], "a"), node("Sqrt", ["a"], "r"), node("Sign", ["r"], "s"), node("Add", ["s", "r"])])
case("signed_root", [node("Sign", ["x"], "s"), node("Abs", ["x"], "a"), node("Sqrt", ["a"], "r"), node("Mul", ["r", "s"])])
case("relu_22", node("Relu", ["x"]), opset=22)
case("dropout_7", [node("Dropout", ["x"], "d", ratio=0.3), node("Relu", ["d"])], opset=7)
case("dropout_13", [node("Dropout", ["x", "r"], "d"), node("Relu", ["d"])], {"r": np.float32(0.3)})

# Convolutions and linear layers.
WEIGHTS = {"w": floats(4, 3, 3, 3), "b": floats(4)}
case("conv_padded", conv(["x", "w", "b"], kernel_shape=[3, 3], pads=[0, 1, 2, 1], strides=[2, 1]), WEIGHTS, opset=7)
case("conv_same_upper", conv(["x", "w", "b"], auto_pad="SAME_UPPER", strides=[2, 2]), WEIGHTS)
case("conv_same_lower", conv(["x", "w"], auto_pad="SAME_LOWER", strides=[2, 2]), {"w": WEIGHTS["w"]})
case("conv_valid_dilated", conv(["x", "w"], auto_pad="VALID", dilations=[2, 2]), {"w": WEIGHTS["w"]}, opset=22)
case("conv_depthwise", conv(["x", "w"], group=3, pads=[1, 1, 1, 1]), {"w": floats(6, 1, 3, 3)})
case("conv_grouped", conv(["x", "w"], group=2), {"w": floats(4, 2, 3, 2)}, shape=("n", 4, 7, 6))
case("conv_listed_weights", conv(["x", "w", "b"]), WEIGHTS, opset=8, listed=True)
case("conv_bias_by_add", [conv(["x", "w"], "c"), node("Add", ["c", "b"])], {"w": WEIGHTS["w"], "b": floats(4, 1, 1)}, opset=7)
FLAT = node("Flatten", ["x"], "f")
DENSE = {"w": floats(126, 5), "b": floats(5)}
case("gemm", [FLAT, node("Gemm", ["f", "w", "b"], transB=1)], {"w": floats(5, 126), "b": floats(5)}, opset=7)
case("gemm_scaled", [FLAT, node("Gemm", ["f", "w", "b"], alpha=0.5, beta=2.0)], DENSE)
case("gemm_one_bias", [FLAT, node("Gemm", ["f", "w", "b"])], {"w": DENSE["w"], "b": floats(1)})
case("gemm_no_bias", [FLAT, node("Gemm", ["f", "w"])], {"w": DENSE["w"]})
case("matmul", [FLAT, node("MatMul", ["f", "w"])], {"w": DENSE["w"]})
case("matmul_add", [FLAT, node("MatMul", ["f", "w"], "m"), node("Add", ["m", "b"])], DENSE)
case("matmul_add_reversed", [FLAT, node("MatMul", ["f", "w"], "m"), node("Add", ["b", "m"])], {"w": DENSE["w"], "b": floats(1, 5)})

# Normalisation.
STATISTICS = {"s": floats(3, low=0.5), "b": floats(3), "m": floats(3), "v": floats(3, low=0.5, high=2)}
case("batch_norm", node("BatchNormalization", ["x", "s", "b", "m", "v"], epsilon=0.01), STATISTICS, opset=9)
case("batch_norm_15", node("BatchNormalization", ["x", "s", "b", "m", "v"]), STATISTICS, opset=15)
VECTOR = {"w": floats(126, 3), **STATISTICS}
case("batch_norm_of_a_vector", [FLAT, node("MatMul", ["f", "w"], "m1"), node("BatchNormalization", ["m1", "s", "b", "m", "v"])], VECTOR)
case("lrn", node("LRN", ["x"], size=3, alpha=0.5, beta=0.6, bias=2.0), shape=("n", 7, 4, 3), opset=7)
case("vector_norm", [FLAT, node("ReduceL2", ["f"], axes=[1])])
case("vector_norm_18", [FLAT, node("ReduceL2", ["f", "a"], keepdims=1)], {"a": ints(-1)}, opset=18)
case("length_of_a_vector", [FLAT, node("LpNormalization", ["f"], "u", p=2), node("MatMul", ["u", "w"])], {"w": DENSE["w"]})
case("softmax_11", [FLAT, node("Softmax", ["f"], "p"), node("MatMul", ["p", "w"])], {"w": DENSE["w"]}, opset=11)
case("softmax_13", [FLAT, node("Softmax", ["f"], "p", axis=-1), node("MatMul", ["p", "w"])], {"w": DENSE["w"]})
case("normalized_pixels", [node("Sub", ["x", "m"], "s"), node("Div", ["s", "d"])], {"m": floats(1, 3, 1, 1), "d": floats(1, 3, 1, 1, low=1, high=2)})
case("divided_pixels", node("Div", ["x", "d"]), {"d": np.float32(3)})

# Arithmetic per channel.
COLUMN = {"w": floats(3), "b": floats(3)}
CAFFE = [node("Unsqueeze", ["w"], "w1", axes=[1, 2]), node("Mul", ["x", "w1"], "s"), node("Unsqueeze", ["b"], "b1", axes=[1, 2]), node("Add", ["s", "b1"])]
case("scale_of_caffe2", CAFFE, COLUMN, opset=9)
case("scale_reversed", node("Mul", ["w", "x"]), {"w": floats(3, 1, 1)})
case("scale_by_one_number", [node("Mul", ["x", "w"], "s"), node("Add", ["s", "b"])], {"w": np.float32(1.5), "b": np.float32(-0.25)})
TWICE = [node("Unsqueeze", ["w", "a"], "w1"), node("Mul", ["x", "w1"], "s"), node("Flatten", ["s"], "f")]
TWICE += [node("MatMul", ["f", "k"], "m"), node("Mul", ["m", "w"])]
case("one_constant_in_two_places", TWICE, {"w": floats(3), "a": ints(1, 2), "k": floats(126, 3)})
GATE = {"w": floats(3, 3, 1, 1), "b": floats(3)}
case("gate", [node("GlobalAveragePool", ["x"], "p"), conv(["p", "w", "b"], "c"), node("Sigmoid", ["c"], "g"), node("Mul", ["x", "g"])], GATE)
case("sum_of_three", [node("Relu", ["x"], "r"), node("Tanh", ["x"], "t"), node("Sum", ["x", "r", "t"])], opset=8)

# Pooling.
case("max_pool_ceil", node("MaxPool", ["x"], kernel_shape=[3, 2], strides=[2, 2], ceil_mode=1), opset=10)
case("max_pool_same", node("MaxPool", ["x"], kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"), opset=7)
case("average_pool_padded", node("AveragePool", ["x"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]), opset=7)
case("average_pool_padding_counts", node("AveragePool", ["x"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1))
case("average_pool_19", node("AveragePool", ["x"], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1), opset=19)
case("average_pool_everything", node("AveragePool", ["x"], kernel_shape=[7, 6]))
case("global_max_pool", node("GlobalMaxPool", ["x"]))
case("reduce_mean_13", node("ReduceMean", ["x"], axes=[2, 3], keepdims=0))
case("reduce_mean_18", node("ReduceMean", ["x", "a"], keepdims=1), {"a": ints(-1, -2)}, opset=18)

# Parts and padding.
case("pad_9", node("Pad", ["x"], pads=[0, 1, 1, 0, 0, 2, 0, 3], value=0.5), opset=9)
case("pad_11", node("Pad", ["x", "p"]), {"p": ints(0, 0, 1, 0, 0, 0, 2, 1)}, opset=11)
case("pad_18", node("Pad", ["x", "p", "v", "a"]), {"p": ints(1, 2, 3, 0), "v": np.float32(-1), "a": ints(-1, 1)}, opset=18)
case("slice_9", node("Slice", ["x"], starts=[1, 0], ends=[3, -1], axes=[1, 3]), opset=9)
case("slice_strided", node("Slice", ["x", "s", "e", "a", "t"]), {"s": ints(0, 1), "e": ints(2**63 - 1, 6), "a": ints(2, 3), "t": ints(2, 3)}, opset=10)
case("slice_backwards", node("Slice", ["x", "s", "e", "a", "t"]), {"s": ints(-1, 4), "e": ints(-(2**62), 0), "a": ints(1, -2), "t": ints(-1, -2)})
case("slice_all", node("Slice", ["x", "s", "e"]), {"s": ints(0, 0), "e": ints(2**31 - 1, 2)})
JOIN = node("Concat", ["q", "p"], axis=1)
case("split_11", [node("Split", ["x"], ["p", "q"], axis=1, split=[1, 2]), JOIN], opset=11)
case("split_13", [node("Split", ["x", "s"], ["p", "q"], axis=1), JOIN], {"s": ints(2, 1)})
case("split_equal", [node("Split", ["x"], ["p", "q"], axis=-3), JOIN], shape=("n", 4, 3, 2))
case("split_18", [node("Split", ["x"], ["p", "q"], axis=1, num_outputs=2), JOIN], opset=18)
case("gather_channels", node("Gather", ["x", "i"], axis=1), {"i": ints(2, 1, 0)})
SWAPPED = []
for index, channel in enumerate([2, 0, 1]):
    SWAPPED += [node("Gather", ["x", f"i{channel}"], f"g{index}", axis=1), node("Unsqueeze", [f"g{index}", "one"], f"u{index}"), node("Mul", [f"u{index}", "k"], f"m{index}")]
case("transform_input", SWAPPED + [node("Concat", ["m0", "m1", "m2"], axis=1)], {"i0": np.int64(0), "i1": np.int64(1), "i2": np.int64(-1), "one": ints(1), "k": np.float32(0.5)})

# Shapes.
SIZE = [node("Shape", ["x"], "s"), node("Gather", ["s", "zero"], "n0"), node("Unsqueeze", ["n0"], "n1", axes=[0])]
case("flatten_by_size", SIZE + [node("Concat", ["n1", "rest"], "t", axis=0), node("Reshape", ["x", "t"])], {"zero": np.int64(0), "rest": ints(-1)}, opset=9)
SIZE13 = [node("Shape", ["x"], "s"), node("Slice", ["s", "from", "to"], "n1")]
case("flatten_by_slice", SIZE13 + [node("Concat", ["n1", "rest"], "t", axis=0), node("Reshape", ["x", "t"])], {"from": ints(0), "to": ints(1), "rest": ints(126)})
case("flatten_15", [node("Shape", ["x"], "n1", end=1), node("Concat", ["n1", "rest"], "t", axis=0), node("Reshape", ["x", "t"])], {"rest": ints(-1)}, opset=15)
SHUFFLE = [node("Reshape", ["x", "a"], "r"), node("Transpose", ["r"], "t", perm=[0, 2, 1, 3, 4]), node("Reshape", ["t", "b"])]
case("channel_shuffle", SHUFFLE, {"a": ints(-1, 2, 3, 4, 5), "b": ints(-1, 6, 4, 5)}, shape=("n", 6, 4, 5))
case("channel_shuffle_of_one", SHUFFLE, {"a": ints(1, 2, 3, 4, 5), "b": ints(1, 6, 4, 5)}, shape=(1, 6, 4, 5))
HALVES = [node("Shape", ["x"], "s"), node("Gather", ["s", "one"], "c"), node("Div", ["c", "two"], "h"), node("Unsqueeze", ["h", "zero"], "h1"), node("Slice", ["x", "zero", "h1", "axis"])]
case("first_half_by_shape", HALVES, {"one": np.int64(1), "two": np.int64(2), "zero": ints(0), "axis": ints(1)}, shape=("n", 4, 3, 2))
case("reshape_zero", node("Reshape", ["x", "t"]), {"t": ints(0, -1)})
case("reshape_fixed_batch", node("Reshape", ["x", "t"]), {"t": ints(4, -1)}, shape=(4, 3, 2, 2))
case("squeeze_11", [node("GlobalAveragePool", ["x"], "p"), node("Squeeze", ["p"], axes=[2, 3])], opset=11)
case("squeeze_13", [node("GlobalAveragePool", ["x"], "p"), node("Squeeze", ["p", "a"], "q"), node("Unsqueeze", ["q", "b"], "r"), node("Mul", ["x", "r"])], {"a": ints(2, 3), "b": ints(-1, -2)})
case("flatten_from_the_end", node("Flatten", ["x"], axis=-3))
NHWC = {"m": floats(3), "w": WEIGHTS["w"], "k": floats(4 * 7 * 6, 3)}
case("channels_last", [node("Sub", ["x", "m"], "c"), node("Transpose", ["c"], "t", perm=[0, 3, 1, 2]), conv(["t", "w"], "f", pads=[1, 1, 1, 1]), node("Transpose", ["f"], "l", perm=[0, 2, 3, 1]), node("Reshape", ["l", "r"], "v"), node("MatMul", ["v", "k"])], {**NHWC, "r": ints(-1, 168)}, shape=("n", 7, 6, 3))
case("channels_last_scaled", [node("Mul", ["x", "w"], "s"), node("Add", ["s", "b"], "t"), node("ReduceMean", ["t"], axes=[1, 2], keepdims=0)], COLUMN, shape=("n", 7, 6, 3))
case("channels_last_mean_kept", [node("ReduceMean", ["x"], "m", axes=[1, 2]), node("Reshape", ["m", "r"])], {"r": ints(-1, 3)}, shape=("n", 7, 6, 3))

# Types and places of constants.
case("half_weights", [node("Cast", ["h"], "w", to=FLOAT), conv(["x", "w"])], {"h": WEIGHTS["w"].astype(np.float16)})
case("half_network", [node("Cast", ["x"], "h", to=FLOAT16), conv(["h", "w"], "c"), node("Cast", ["c"], to=FLOAT)], {"w": WEIGHTS["w"].astype(np.float16)})
case("pixels_of_bytes", [node("Cast", ["x"], "f", to=FLOAT), node("Div", ["f", "d"])], {"d": np.float32(255)}, kind=UINT8)
QUANTA = RNG.integers(-127, 128, size=(4, 3, 3, 3)).astype(np.int8)
case("dequantized_weights", [node("DequantizeLinear", ["q", "s", "z"], "w", axis=0), conv(["x", "w"])], {"q": QUANTA, "s": floats(4, low=0.01, high=0.02), "z": np.array([0, 3, -2, 1], dtype=np.int8)}, opset=19)
case("constant_node", [node("Constant", [], "w", value=numpy_helper.from_array(floats(3, 1, 1))), node("Mul", ["x", "w"])])
case("constant_numbers", [node("Constant", [], "k", value_float=0.5), node("Mul", ["x", "k"], "s"), node("Constant", [], "t", value_ints=[0, -1]), node("Reshape", ["s", "t"])])
case("constant_of_shape", [node("ConstantOfShape", ["d"], "w", value=numpy_helper.from_array(np.array([0.25], dtype=np.float32))), conv(["x", "w"])], {"d": ints(2, 3, 3, 3)}, opset=9)
case("float_data", conv(["x", "w"]), {"w": helper.make_tensor("w", FLOAT, [1, 3, 1, 1], [0.5, -1.5, 2.0])})
case("shared_by_identity", [node("Identity", ["w"], "w2"), node("Mul", ["x", "w"], "a"), node("Mul", ["a", "w2"])], {"w": floats(3, 1, 1)})
case("computed_scale", [node("Add", ["v", "e"], "s"), node("Sqrt", ["s"], "r"), node("Div", ["g", "r"], "k"), node("Mul", ["x", "k"])], {"v": floats(3, 1, 1, low=0.5, high=2), "e": np.float32(1e-3), "g": floats(3, 1, 1)})


# Where the reference implementation is not to be believed; ONNX Runtime's answer is taken. Before operator set 14 the
# reference mixes the batch into the stored statistics, which the specification wants of five outputs only; and its LRN
# counts channels to the size of the batch.
REFERENCE_IS_WRONG = {"batch_norm", "batch_norm_of_a_vector", "lrn"}


def run(name):
    model, shape, kind = CASES[name]
    # The test makes the same numbers.
    steps = np.arange(np.prod(shape)).reshape(shape) * 7919 % 2003
    feed = {"x": (steps % 256).astype(np.uint8) if kind == UINT8 else (steps / 500.75 - 2).astype(np.float32)}
    (output,) = ReferenceEvaluator(model).run(None, feed)
    batch = model.graph.input[0].type.tensor_type.shape.dim[0]
    for size in output.shape:
        model.graph.output[0].type.tensor_type.shape.dim.add().dim_value = size
    if batch.dim_param:
        model.graph.output[0].type.tensor_type.shape.dim[0].dim_param = batch.dim_param
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (served,) = session.run(None, feed)
    # The two add in different orders, and the half-precision case rounds in between.
    tolerance = 1e-2 if name == "half_network" else 1e-5
    agree = output.shape == served.shape and np.allclose(output, served, rtol=tolerance, atol=tolerance)
    assert agree or name in REFERENCE_IS_WRONG, name
    output = served if name in REFERENCE_IS_WRONG else output
    numbers = lambda array: [float(f"{number:.7g}") for number in np.asarray(array, dtype=np.float64).ravel()]
    return {"shape": shape, "bytes": kind == UINT8, "output": numbers(output)}


folder = TARGET / "spellings"
shutil.rmtree(folder, ignore_errors=True)
folder.mkdir(parents=True)
results = {name: run(name) for name in CASES}
for name, (model, _, _) in CASES.items():
    (folder / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))
(TARGET / "spellings.json").write_text(json.dumps(results, separators=(",", ":")) + "\n")
print(len(results), "models")
