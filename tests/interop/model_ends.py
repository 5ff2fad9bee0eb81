"""Small networks with every kind of end that exporters write, each with the scores that its outputs stand for, or
with the words of its refusal. For `check_model_ends.py`."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper, numpy_helper

SIDE, CLASSES, WIDTH = 64, 5, 8
LABELS = ["rose", "iris", "tulip", "lily", "daisy"]
# Two engines add the same numbers in different orders; a score of another meaning is far off.
TOLERANCE = 2e-4
# Half precision rounds each number to 11 bits.
HALF_TOLERANCE = 5e-3
RNG = np.random.default_rng(0)
WEIGHTS = {
    "W": RNG.normal(0, 0.15, (WIDTH, 3, 3, 3)),
    "B": RNG.normal(0, 0.1, WIDTH),
    "F": RNG.normal(0, 1.5, (CLASSES, WIDTH)),
    "FB": RNG.normal(0, 0.3, CLASSES),
    "G": RNG.normal(0, 1.0, (WIDTH, WIDTH)),
    "one": np.ones(WIDTH),
}
NODE = helper.make_node


@dataclass
class Case:
    """A file, the options of its import, and what must come of it."""

    model: onnx.ModelProto
    # From the original file's outputs by name to the scores of one picture; None if the import must be refused.
    scores: Callable[[dict[str, np.ndarray]], np.ndarray] | None
    # Words of the refusal, or of what an import says.
    says: str = ""
    arguments: list[str] = field(default_factory=list)
    labels: list[str] | None = None
    # From pixels 0..255, [1, 3, side, side], to the original file's input.
    pixels: Callable[[np.ndarray], np.ndarray] = lambda pixels: (pixels / 255).astype(np.float32)
    preprocess: str | None = "zero-one"
    tolerance: float = TOLERANCE


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64).ravel() - logits.max())
    return powers / powers.sum()


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits.astype(np.float64).ravel()))


def binary(probability: np.ndarray) -> np.ndarray:
    p = float(np.ravel(probability)[0])
    return np.array([1 - p, p])


def value(name: str, kind: int, shape: list | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def body(head: str = "F", features: list | None = None, last: str = "y") -> list:
    """Convolution to logits `y`, with the features `f` before the head."""
    nodes = [
        NODE("Conv", ["x", "W", "B"], ["c"], strides=[4, 4], kernel_shape=[3, 3]),
        NODE("Relu", ["c"], ["r"]),
        NODE("GlobalAveragePool", ["r"], ["p"]),
        NODE("Flatten", ["p"], ["f"]),
    ]
    taken = "f"
    if features:
        nodes += features
        taken = features[-1].output[0]
    return [*nodes, NODE("Gemm", [taken, head, f"{head}B"], [last], transB=1)]


# A layer that graft does not parse, so that the file stays opaque.
OPAQUE = [NODE("LayerNormalization", ["f", "one"], ["l"])]
X = value("x", T.FLOAT, ["n", 3, SIDE, SIDE])
Y = value("y", T.FLOAT, ["n", CLASSES])


def model(
    nodes: list,
    outputs: list,
    *,
    inputs: list | None = None,
    classes: int = CLASSES,
    kind: type = np.float32,
    extra: dict | None = None,
    **metadata: str,
) -> onnx.ModelProto:
    arrays = {**WEIGHTS, "F": WEIGHTS["F"][:classes], "FB": WEIGHTS["FB"][:classes]}
    arrays = {name: array.astype(kind) for name, array in arrays.items()} | (extra or {})
    used = {name for node in nodes for name in node.input}
    constants = [
        array if isinstance(array, onnx.TensorProto) else numpy_helper.from_array(np.ascontiguousarray(array), name)
        for name, array in arrays.items()
        if name in used
    ]
    graph = helper.make_graph(nodes, "ends", inputs or [X], outputs, constants)
    sets = [helper.make_opsetid("", 17)] + [helper.make_opsetid("ai.onnx.ml", 3)] * any(n.domain for n in nodes)
    made = helper.make_model(graph, opset_imports=sets, ir_version=8)
    for key, text in metadata.items():
        entry = made.metadata_props.add()
        entry.key, entry.value = key, text
    return made


def end(op: str, inputs: list[str], output: str, **attributes: object) -> onnx.NodeProto:
    return NODE(op, inputs, [output], **attributes)


def zipmap(name: str, **labels: list) -> tuple[onnx.NodeProto, onnx.ValueInfoProto]:
    key = T.STRING if "classlabels_strings" in labels else T.INT64
    kind = helper.make_sequence_type_proto(helper.make_map_type_proto(key, helper.make_tensor_type_proto(T.FLOAT, [])))
    return NODE("ZipMap", [name], ["loss"], domain="ai.onnx.ml", **labels), helper.make_value_info("loss", kind)


def logits_of(nodes: list, name: str = "y", **options: object) -> Callable:
    """Scores from a tensor that the file itself does not put out."""

    def scores(_: dict) -> np.ndarray:
        raise NotImplementedError

    scores.probe = (nodes, name, options)
    return scores


def normal_ends() -> dict[str, Case]:
    """Outputs that classify, each by the operators before it."""
    s = value("s", T.FLOAT, ["n", CLASSES])
    exp = [
        end("ReduceMax", ["y"], "m", axes=[1], keepdims=1),
        end("Sub", ["y", "m"], "d"),
        end("Exp", ["d"], "e"),
        NODE("ReduceSum", ["e", "axis"], ["t"], keepdims=1),
        end("Div", ["e", "t"], "s"),
    ]
    plain = {"scores": lambda out: softmax(out["y"])}
    ready = {"scores": lambda out: out["s"].ravel()}
    softmaxed = end("Softmax", ["y"], "s", axis=1)
    return {
        "plain": Case(model(body(), [Y]), **plain, says="logits (ends in Gemm)"),
        "softmax": Case(model([*body(), softmaxed], [s]), **ready, says="probabilities (ends in Softmax)"),
        "softmax_opaque": Case(model([*body(features=OPAQUE), softmaxed], [s]), **ready, says="probabilities (ends in Softmax)"),
        "softmax_moved": Case(
            model(
                [*body(), end("Softmax", ["y"], "a", axis=-1), end("Identity", ["a"], "b"), end("Cast", ["b"], "s", to=T.DOUBLE)],
                [value("s", T.DOUBLE, ["n", CLASSES])],
            ),
            **ready,
        ),
        "log_softmax": Case(
            model([*body(), end("LogSoftmax", ["y"], "s", axis=1)], [s]),
            lambda out: np.exp(out["s"].ravel()),
            says="logarithms of probabilities",
        ),
        "log_softmax_opaque": Case(
            model([*body(features=OPAQUE), end("LogSoftmax", ["y"], "s", axis=1)], [s]), lambda out: np.exp(out["s"].ravel())
        ),
        "softmax_in_parts": Case(
            model([*body(), *exp], [s], extra={"axis": np.array([1])}), **ready, says="a softmax of Exp, ReduceSum and Div"
        ),
        "multi_label": Case(
            model([*body(), end("Sigmoid", ["y"], "s")], [s]), **ready, says="a probability for each class by itself (ends in Sigmoid)"
        ),
        "multi_label_opaque": Case(model([*body(features=OPAQUE), end("Sigmoid", ["y"], "s")], [s]), **ready),
        "multi_label_of_two": Case(model([*body(), end("Sigmoid", ["y"], "s")], [value("s", T.FLOAT, ["n", 2])], classes=2), **ready),
        "hard_sigmoid": Case(model([*body(), end("HardSigmoid", ["y"], "s")], [s]), **ready, says="scores (ends in HardSigmoid)"),
        "image_of_one_pixel": Case(
            model(
                [*body(), NODE("Reshape", ["y", "shape"], ["z"])],
                [value("z", T.FLOAT, ["n", CLASSES, 1, 1])],
                extra={"shape": np.array([-1, CLASSES, 1, 1])},
            ),
            lambda out: softmax(out["z"]),
        ),
        "image_of_one_pixel_opaque": Case(
            model(
                [*body(features=OPAQUE), NODE("Reshape", ["y", "shape"], ["z"])],
                [value("z", T.FLOAT, ["n", CLASSES, 1, 1])],
                extra={"shape": np.array([-1, CLASSES, 1, 1])},
            ),
            lambda out: softmax(out["z"]),
        ),
        "no_batch": Case(
            model(
                [*body(), NODE("Squeeze", ["y", "axes"], ["z"])],
                [value("z", T.FLOAT, [CLASSES])],
                inputs=[value("x", T.FLOAT, [1, 3, SIDE, SIDE])],
                extra={"axes": np.array([0])},
            ),
            lambda out: softmax(out["z"]),
        ),
        "one_at_a_time": Case(
            model(
                [*body(features=[NODE("Reshape", ["f", "row"], ["g"]), NODE("LayerNormalization", ["g", "one"], ["l"])])],
                [Y],
                extra={"row": np.array([1, WIDTH])},
            ),
            **plain,
            says="runs on one image at a time and on no more",
        ),
        "no_shape": Case(
            model(
                body(features=OPAQUE),
                [onnx.ValueInfoProto(name="y", type=onnx.TypeProto(tensor_type=onnx.TypeProto.Tensor(elem_type=T.FLOAT)))],
            ),
            **plain,
        ),
        "double": Case(
            model([end("Cast", ["image"], "x", to=T.FLOAT), *body()], [Y], inputs=[value("image", T.DOUBLE, ["n", 3, SIDE, SIDE])]),
            **plain,
            pixels=lambda pixels: (pixels / 255).astype(np.float64),
        ),
    }


def binary_ends() -> dict[str, Case]:
    one = [value("y", T.FLOAT, ["n", 1])]
    s = [value("s", T.FLOAT, ["n", 1])]
    squashed = end("Sigmoid", ["y"], "s")
    logit = lambda out: binary(sigmoid(out["y"]))
    ready = lambda out: binary(out["s"])
    flat = NODE("Squeeze", ["s", "axes"], ["t"])
    pair = ["cat", "dog"]
    return {
        "binary_logit": Case(model(body(), one, classes=1), logit, labels=pair, says="one number for two classes"),
        "binary_sigmoid": Case(model([*body(), squashed], s, classes=1), ready, labels=pair),
        "binary_sigmoid_opaque": Case(model([*body(features=OPAQUE), squashed], s, classes=1), ready, labels=pair),
        "binary_logit_opaque": Case(model(body(features=OPAQUE), one, classes=1), logit),
        "binary_names": Case(model([*body(), squashed], s, classes=1, names="['cat', 'dog']"), ready),
        "binary_flat": Case(
            model([*body(), squashed, flat], [value("t", T.FLOAT, ["n"])], classes=1, extra={"axes": np.array([1])}),
            lambda out: binary(out["t"]),
        ),
        "binary_asked": Case(model(body(), one, classes=1), logit, arguments=["--activation", "sigmoid"]),
        "binary_one_name": Case(model(body(), one, classes=1), None, "names 1 class, and the network tells 2 apart", labels=["cat"]),
        "binary_softmax": Case(
            model([*body(), end("Softmax", ["y"], "s", axis=1)], s, classes=1),
            None,
            "one number an image makes two classes only as a logit",
        ),
        "binary_ready": Case(
            model(body(), one, classes=1), None, "one number an image makes two classes only as a logit", arguments=["--activation", "none"]
        ),
    }


def several_outputs() -> dict[str, Case]:
    f = value("f", T.FLOAT, ["n", WIDTH])
    s = value("s", T.FLOAT, ["n", CLASSES])
    e = value("e", T.FLOAT, ["n", WIDTH])
    embedding = [NODE("Gemm", ["f", "G", "B"], ["e"], transB=1)]
    other = NODE("Gemm", ["f", "F", "FB"], ["z"], transB=1)
    z = value("z", T.FLOAT, ["n", CLASSES])
    plain = lambda out: softmax(out["y"])
    softmaxed = end("Softmax", ["y"], "s", axis=1)
    chosen = end("ArgMax", ["y"], "k", axis=1, keepdims=0)
    kinds = [end("Cast", ["k"], "i", to=T.INT32)]
    top = NODE("TopK", ["y", "three"], ["v", "i"], axis=1)
    strings, map_of = zipmap("s", classlabels_strings=LABELS)
    numbers, map_of_numbers = zipmap("s", classlabels_int64s=[3, 5, 7, 9, 11])
    label = [
        end("ArgMax", ["s"], "k", axis=1, keepdims=1),
        NODE("ArrayFeatureExtractor", ["names", "k"], ["classLabel"], domain="ai.onnx.ml"),
    ]
    class_label = value("classLabel", T.STRING, [1, "n"])
    names = {"names": helper.make_tensor("names", T.STRING, [CLASSES], [name.encode() for name in LABELS])}
    ready = logits_of([*body(), softmaxed], "s")
    sequence = helper.make_value_info("q", helper.make_sequence_type_proto(helper.make_tensor_type_proto(T.FLOAT, None)))
    return {
        "features_first": Case(model(body(), [f, Y]), plain, says="`f` [n, 8]: features (ends in GlobalAveragePool), not used"),
        "features_last": Case(model(body(features=OPAQUE), [Y, value("l", T.FLOAT, ["n", WIDTH])]), plain),
        "embedding_first": Case(model(body(features=embedding), [e, Y]), plain, says="`e` [n, 8]: logits (ends in Gemm), not used"),
        "logits_and_scores": Case(model([*body(), softmaxed], [f, Y, s]), lambda out: out["s"].ravel()),
        "two_heads": Case(model([*body(), other], [Y, z]), None, "name it with --output"),
        "two_heads_named": Case(model([*body(), other], [Y, z]), lambda out: softmax(out["z"]), arguments=["--output", "z"]),
        "no_such_output": Case(model(body(), [Y]), None, "no output `logit`; it has `y`", arguments=["--output", "logit"]),
        "two_heads_of_other_widths": Case(
            model([*body(), NODE("Gemm", ["f", "G", "B"], ["z"], transB=1)], [value("z", T.FLOAT, ["n", WIDTH]), Y]), plain, labels=LABELS
        ),
        "argmax": Case(
            model([*body(), chosen], [value("k", T.INT64, ["n"])]), logits_of(body()), says="ends in Gemm before ArgMax, which is left off"
        ),
        "argmax_cast": Case(
            model([*body(features=OPAQUE), chosen, *kinds], [value("i", T.INT32, ["n"])]), logits_of(body(features=OPAQUE))
        ),
        "argmax_of_map": Case(
            model([*body()[:2], end("ArgMax", ["r"], "k", axis=1, keepdims=0)], [value("k", T.INT64, ["n", 16, 16])]),
            None,
            "a map, not one row of scores",
        ),
        "top_k": Case(
            model([*body(), top], [value("v", T.FLOAT, ["n", 3]), value("i", T.INT64, ["n", 3])], extra={"three": np.array([3])}),
            logits_of(body()),
        ),
        "zipmap": Case(model([*body(), softmaxed, strings], [map_of]), ready),
        "zipmap_opaque": Case(
            model([*body(features=OPAQUE), softmaxed, strings], [map_of]), logits_of([*body(features=OPAQUE), softmaxed], "s")
        ),
        "zipmap_of_numbers": Case(model([*body(), softmaxed, numbers], [map_of_numbers]), ready),
        "label_and_zipmap": Case(model([*body(), softmaxed, strings, *label], [class_label, map_of], extra=names), ready),
        "label_alone": Case(model([*body(), softmaxed, *label], [class_label], extra=names), None, "the model has no scores of classes"),
        "sequence": Case(model([*body(), NODE("SequenceConstruct", ["y"], ["q"])], [sequence]), None, "a sequence or a map, no tensor"),
        "decision": Case(
            model([*body(), NODE("Greater", ["y", "zero"], ["g"])], [value("g", T.BOOL, ["n", CLASSES])], extra={"zero": np.float32(0)}),
            None,
            "it holds BOOL values",
        ),
        "percent": Case(
            model(
                [*body(), softmaxed, NODE("Mul", ["s", "hundred"], ["h"])],
                [value("h", T.FLOAT, ["n", CLASSES])],
                extra={"hundred": np.float32(100)},
            ),
            None,
            "Mul behind Softmax",
        ),
        "percent_asked": Case(
            model(
                [*body(), softmaxed, NODE("Mul", ["s", "half"], ["h"])],
                [value("h", T.FLOAT, ["n", CLASSES])],
                extra={"half": np.float32(0.5)},
            ),
            lambda out: out["h"].ravel(),
            arguments=["--activation", "none"],
        ),
        "squashed_twice": Case(
            model([*body(), softmaxed], [s]), None, "would squash the scores twice", arguments=["--activation", "sigmoid"]
        ),
        "sigmoid_asked": Case(model(body(), [Y]), lambda out: sigmoid(out["y"]), arguments=["--activation", "sigmoid"]),
        "features_alone": Case(
            model(body(features=OPAQUE)[:-1], [value("l", T.FLOAT, ["n", WIDTH])]), None, "nothing says whether these are scores"
        ),
        "features_labelled": Case(
            model(body(features=OPAQUE)[:-1], [value("l", T.FLOAT, ["n", WIDTH])]),
            lambda out: softmax(out["l"]),
            labels=[str(number) for number in range(WIDTH)],
        ),
    }


def names() -> dict[str, Case]:
    plain = lambda out: softmax(out["y"])
    return {
        "names_short": Case(model(body(), [Y], names="{0: 'a', 1: 'b'}"), None, "names 2 class(es), and the network has 5"),
        "names_short_opaque": Case(
            model(body(features=OPAQUE), [Y], names="{0: 'a', 1: 'b'}"), None, "names 2 class(es), and the network has 5"
        ),
        "names_short_replaced": Case(model(body(), [Y], names="{0: 'a', 1: 'b'}"), plain, labels=LABELS),
        "names_of_four": Case(model(body(), [Y], names="['a', 'b', 'c', 'd']"), None, "a class for the background"),
        "names_given_short": Case(model(body(), [Y]), None, "names 3 class(es), and the network has 5", labels=["a", "b", "c"]),
    }


CASES = normal_ends() | binary_ends() | several_outputs() | names()
