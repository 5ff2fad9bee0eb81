"""Classifiers that graft cannot parse, small, with random weights, and what ONNX Runtime answers to a picture: the scores, and
the features that the classifier takes. For tests/tests/opaque.rs.

    pip install onnx onnxruntime numpy sympy; python tests/reference/foreign.py

Writes tests/data/foreign/NAME.onnx and tests/data/foreign.json.
"""

import json
import pathlib
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

onnxruntime.set_default_logger_severity(3)
TARGET = pathlib.Path(__file__).parent.parent / "data"
FLOAT, FLOAT16, UINT8 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.UINT8
RNG = np.random.default_rng(23)
SIDE, CLASSES = 32, 5
MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)


def weights(name, *shape):
    fan_in = np.prod(shape[1:]) if len(shape) > 1 else 4
    return numpy_helper.from_array((RNG.standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float32), name)


def ints(name, *values):
    return numpy_helper.from_array(np.array(values, dtype=np.int64), name)


def node(op, inputs, output, **attributes):
    return helper.make_node(op, inputs, [output], **attributes)


def model(name, nodes, constants, *, shape, kind=FLOAT, output=("logits", FLOAT), opset=17, batch=1):
    images = helper.make_tensor_value_info("input", kind, shape)
    answers = helper.make_tensor_value_info(output[0], output[1], [batch, CLASSES])
    graph = helper.make_graph(nodes, name, [images], [answers], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], producer_name="foreign.py")
    made.ir_version = 8
    onnx.checker.check_model(made, full_check=True)
    return made


class Pictures(CalibrationDataReader):
    def __init__(self):
        self.left = [{"input": RNG.standard_normal((1, 3, SIDE, SIDE)).astype(np.float32)} for _ in range(8)]

    def get_next(self):
        return self.left.pop() if self.left else None


def plain(name):
    """Two convolutions and a linear layer, ending in a softmax; to be quantised."""
    nodes = [
        node("Conv", ["input", "w1", "b1"], "c1", pads=[1] * 4, strides=[2, 2]),
        node("Relu", ["c1"], "r1"),
        node("Conv", ["r1", "w2", "b2"], "c2", pads=[1] * 4, strides=[2, 2]),
        node("Relu", ["c2"], "r2"),
        node("GlobalAveragePool", ["r2"], "p"),
        node("Flatten", ["p"], "f"),
        node("Gemm", ["f", "w3", "b3"], "scores", transB=1),
        node("Softmax", ["scores"], "probabilities", axis=1),
    ]
    constants = [weights("w1", 8, 3, 3, 3), weights("b1", 8), weights("w2", 16, 8, 3, 3), weights("b2", 16)]
    constants += [weights("w3", CLASSES, 16), weights("b3", CLASSES)]
    return model(name, nodes, constants, shape=["n", 3, SIDE, SIDE], output=("probabilities", FLOAT), batch="n")


def quantized(name="quantized", form=QuantFormat.QDQ):
    """Static quantisation, in QDQ form."""
    made = plain(name)
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/{name}.onnx" for name in ("plain", "quantized")]
        onnx.save(made, paths[0])
        types = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
        # Seven bits a weight: with eight, processors without VNNI saturate sums that others do not, and answer otherwise.
        types["reduce_range"] = True
        quantize_static(*paths, Pictures(), quant_format=form, per_channel=True, **types)
        return onnx.load(paths[1])


def integers():
    """Static quantisation with operators that take whole numbers."""
    return quantized("integers", QuantFormat.QOperator)


def dynamic():
    """Quantisation by scales that are computed for each picture."""
    made = plain("dynamic")
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/{name}.onnx" for name in ("plain", "quantized")]
        onnx.save(made, paths[0])
        quantize_dynamic(*paths, weight_type=QuantType.QUInt8)
        return onnx.load(paths[1])


def attention():
    """Patches and one layer of self-attention, for one image at a time and with that number in its reshapes."""
    nodes = [
        node("Conv", ["input", "wp", "bp"], "c", kernel_shape=[8, 8], strides=[8, 8]),
        node("Reshape", ["c", "tokens"], "t"),
        node("Transpose", ["t"], "x", perm=[0, 2, 1]),
        node("LayerNormalization", ["x", "g", "b"], "n", axis=-1),
        *[node("MatMul", ["n", f"w{name}"], name) for name in "qkv"],
        node("Transpose", ["k"], "kt", perm=[0, 2, 1]),
        node("MatMul", ["q", "kt"], "s"),
        node("Softmax", ["s"], "a", axis=-1),
        node("MatMul", ["a", "v"], "y"),
        node("Add", ["x", "y"], "z"),
        node("ReduceMean", ["z"], "m", axes=[1], keepdims=0),
        node("Gemm", ["m", "wh", "bh"], "logits", transB=1),
    ]
    constants = [weights("wp", 16, 3, 8, 8), weights("bp", 16), ints("tokens", 1, 16, 16), weights("g", 16), weights("b", 16)]
    constants += [weights(f"w{name}", 16, 16) for name in "qkv"] + [weights("wh", CLASSES, 16), weights("bh", CLASSES)]
    return model("attention", nodes, constants, shape=[1, 3, SIDE, SIDE])


def erf(inputs, output):
    """GELU as exporters write it."""
    return [
        node("Div", [inputs, "root"], f"{output}.d"),
        node("Erf", [f"{output}.d"], f"{output}.e"),
        node("Add", [f"{output}.e", "one"], f"{output}.a"),
        node("Mul", [inputs, f"{output}.a"], f"{output}.m"),
        node("Mul", [f"{output}.m", "half"], output),
    ]


def scalars(kind):
    numbers = {"root": np.sqrt(2), "one": 1, "half": 0.5}
    return [numpy_helper.from_array(np.array(number, dtype=kind), name) for name, number in numbers.items()]


def bytes_last():
    """Bytes, channels last, scaled by the network itself; a batch of one that nothing inside depends on."""
    nodes = [
        node("Cast", ["input"], "f", to=FLOAT),
        node("Div", ["f", "scale"], "s"),
        node("Transpose", ["s"], "t", perm=[0, 3, 1, 2]),
        node("Conv", ["t", "w1", "b1"], "c", strides=[2, 2]),
        *erf("c", "g"),
        node("GlobalAveragePool", ["g"], "p"),
        node("Flatten", ["p"], "v"),
        node("Gemm", ["v", "w2", "b2"], "logits", transB=1),
    ]
    constants = [weights("w1", 8, 3, 3, 3), weights("b1", 8), weights("w2", CLASSES, 8), weights("b2", CLASSES)]
    constants += [numpy_helper.from_array(np.float32(255), "scale"), *scalars(np.float32)]
    return model("bytes_last", nodes, constants, shape=[1, SIDE, SIDE, 3], kind=UINT8)


def half():
    """Half precision from end to end, blue first."""
    nodes = [
        node("Conv", ["input", "w1", "b1"], "c", strides=[2, 2]),
        *erf("c", "g"),
        node("GlobalAveragePool", ["g"], "p"),
        node("Flatten", ["p"], "v"),
        node("Gemm", ["v", "w2", "b2"], "logits", transB=1),
    ]
    constants = [weights("w1", 8, 3, 3, 3), weights("b1", 8), weights("w2", CLASSES, 8), weights("b2", CLASSES)]
    constants = [numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name) for tensor in constants]
    made = model(
        "half",
        nodes,
        constants + scalars(np.float16),
        shape=["n", 3, SIDE, SIDE],
        kind=FLOAT16,
        output=("logits", FLOAT16),
        batch="n",
    )
    entry = made.metadata_props.add()
    entry.key, entry.value = "Image.BitmapPixelFormat", "Bgr8"
    entry = made.metadata_props.add()
    entry.key, entry.value = "Image.NominalPixelRange", "Normalized_0_1"
    return made


def picture():
    """[1, 3, 32, 32], bytes; the test makes the same."""
    return (np.arange(3 * SIDE * SIDE) * 7919 % 256).reshape(1, 3, SIDE, SIDE).astype(np.float32)


def torchvision(pixels):
    return ((pixels / 255 - MEAN[:, None, None]) / STD[:, None, None]).astype(np.float32)


CASES = {
    "quantized": (quantized, torchvision),
    "attention": (attention, lambda pixels: (pixels / 127.5 - 1).astype(np.float32)),
    "bytes_last": (bytes_last, lambda pixels: pixels.transpose(0, 2, 3, 1).astype(np.uint8)),
    "half": (half, lambda pixels: (pixels[:, ::-1] / 255).astype(np.float16)),
    "integers": (integers, torchvision),
    "dynamic": (dynamic, torchvision),
}
# The tensor of real numbers that the classifier takes. Where it takes whole numbers, graft makes real ones of them.
FEATURES = {
    "quantized": "f_DequantizeLinear_Output",
    "attention": "m",
    "bytes_last": "v",
    "half": "v",
    "integers": ("f_quantized", "p_scale", "p_zero_point"),
    "dynamic": "f",
}


def features(made, name, images):
    parts = [FEATURES[name]] if isinstance(FEATURES[name], str) else [FEATURES[name][0]]
    probe = onnx.ModelProto()
    probe.CopyFrom(made)
    probe.graph.output.extend(onnx.ValueInfoProto(name=part) for part in parts)
    session = onnxruntime.InferenceSession(probe.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(parts, {"input": images})
    if len(FEATURES[name]) == 3:
        scale, zero = (numpy_helper.to_array(next(t for t in made.graph.initializer if t.name == part)) for part in FEATURES[name][1:])
        found = (found.astype(np.float32) - zero.astype(np.float32)) * scale
    return found


def main():
    folder = TARGET / "foreign"
    folder.mkdir(parents=True, exist_ok=True)
    results = {}
    for name, (make, prepare) in CASES.items():
        made = make()
        session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
        images = prepare(picture())
        (output,) = session.run(None, {"input": images})
        (folder / f"{name}.onnx").write_bytes(made.SerializeToString(deterministic=True))
        numbers = lambda array: [float(f"{number:.7g}") for number in array.astype(np.float64).ravel()]
        results[name] = {"scores": numbers(output), "features": numbers(features(made, name, images))}
        print(name, results[name])
    (TARGET / "foreign.json").write_text(json.dumps(results) + "\n")


main()
