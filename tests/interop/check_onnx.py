"""What a file that graft exported promises to every other program, checked by ONNX's own tools and ONNX Runtime.

    python tests/interop/check_onnx.py [--opset N] FILE...

For each file: the checker with all its checks, shape inference in strict mode, opset and IR version, a dynamic batch
named `batch`, one input of RGB pixels 0..255, the metadata; then it runs with one and with three images: a batch equals
its images one by one, and the probabilities are the softmax of the logits. Small networks also run in ONNX's reference
implementation, which shares no code with any engine.
"""

import argparse
import ast
import json
import sys

import numpy as np
import onnx
import onnx.checker
import onnx.reference
import onnx.shape_inference
import onnxruntime

IR_VERSION = 8
# What is due to the order of additions: about 1e-6 of the largest logit for the networks at hand.
TOLERANCE = 1e-5
# The reference implementation convolves in numpy, a second or so for each billion multiplications; small inputs only.
REFERENCE_SIDE = 64


class Broken(Exception):
    """A promise that the file does not keep."""


def expect(holds: bool, promise: str) -> None:
    if not holds:
        raise Broken(promise)


def dims(value: onnx.ValueInfoProto) -> list:
    """Sizes as numbers, named sizes as text."""
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


def check_form(model: onnx.ModelProto, opset: int) -> None:
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    expect(model.producer_name == "graft", f"the producer is graft, not {model.producer_name!r}")
    expect(model.ir_version == IR_VERSION, f"the IR version is {IR_VERSION}, not {model.ir_version}")
    sets = {s.domain: s.version for s in model.opset_import}
    expect(sets == {"": opset}, f"the operator sets are only ONNX's {opset}, not {sets}")
    expect(len(model.graph.input) == 1, "there is one input")
    (image,) = model.graph.input
    expect(image.name == "input", f"the input is named `input`, not {image.name!r}")
    expect(dims(image)[:2] == ["batch", 3], f"the input is [batch, 3, h, w], not {dims(image)}")
    expect(image.type.denotation == "IMAGE", "the input is denoted IMAGE")
    for tensor in model.graph.initializer:
        expect(tensor.data_location != onnx.TensorProto.EXTERNAL, f"{tensor.name} is inside the file")
        expect(tensor.HasField("raw_data"), f"{tensor.name} is stored as raw data")


def check_metadata(model: onnx.ModelProto) -> str:
    """The outputs that the metadata announce: those of a classifier or of a backbone."""
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    expect("graft.spec.v1" in metadata, "the metadata have `graft.spec.v1`")
    spec = json.loads(metadata["graft.spec.v1"])
    for key in ("architecture", "preprocess"):
        expect(key in spec, f"`graft.spec.v1` has `{key}`")
    text = json.dumps(metadata)
    for trace in ("/home/", "/root/", "/tmp/", "/Users/", "C:\\\\"):
        expect(trace not in text, f"the metadata have no paths, but {trace!r} is in them")
    outputs = {output.name: dims(output) for output in model.graph.output}
    if "names" not in metadata:
        expect(list(outputs) == ["features"], f"a file without class names has the output `features`, not {outputs}")
        return "backbone"
    check_ultralytics(metadata)
    names = json.loads(metadata["names"])
    expect(isinstance(names, list) and all(isinstance(n, str) and n for n in names), "`names` is a list of names")
    expected = {"logits": ["batch", len(names)], "probabilities": ["batch", len(names)]}
    expect(outputs == expected, f"the outputs are {expected}, not {outputs}")
    return f"{len(names)} classes"


def check_ultralytics(metadata: dict[str, str]) -> None:
    """What the loader of Ultralytics' tools does with the metadata, which fails where one of these is missing."""
    for key in ("stride", "batch", "channels"):
        expect(int(metadata[key]) > 0, f"Ultralytics' tools read `{key}`")
    for key in ("imgsz", "names"):
        expect(isinstance(ast.literal_eval(metadata[key]), list), f"Ultralytics' tools read `{key}` as a literal of Python's")
    expect(metadata["task"] == "classify", "the task is Ultralytics' `classify`")


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def check_answers(path: str, model: onnx.ModelProto) -> None:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    shape = dims(model.graph.input[0])[1:]
    images = np.random.default_rng(0).integers(0, 256, size=(3, *shape)).astype(np.float32)
    batch = session.run(None, {"input": images})
    for output in batch:
        expect(output.shape[0] == 3 and np.isfinite(output).all(), "the outputs of three images are three and finite")
    scale = np.abs(batch[0]).max()
    for index in range(3):
        single = session.run(None, {"input": images[index : index + 1]})
        difference = np.abs(single[0] - batch[0][index]).max() / scale
        expect(difference <= TOLERANCE, f"a batch equals its images one by one (image {index}: {difference:.1e})")
    if len(batch) == 2:
        logits, probabilities = (output.astype(np.float64) for output in batch)
        difference = np.abs(softmax(logits) - probabilities).max()
        expect(difference <= TOLERANCE, f"the probabilities are the softmax of the logits ({difference:.1e})")
    if max(shape[1:]) <= REFERENCE_SIDE:
        reference = onnx.reference.ReferenceEvaluator(model).run(None, {"input": images})
        difference = np.abs(reference[0] - batch[0]).max() / scale
        expect(difference <= TOLERANCE, f"ONNX's reference implementation gives the same ({difference:.1e})")


def check(path: str, opset: int) -> str:
    model = onnx.load(path)
    check_form(model, opset)
    what = check_metadata(model)
    check_answers(path, model)
    return what


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--opset", type=int, default=17)
    parser.add_argument("files", nargs="+", metavar="FILE")
    args = parser.parse_args()
    failed = 0
    for path in args.files:
        try:
            print(f"{path}: ok, {check(path, args.opset)}")
        except (Broken, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            failed += 1
            print(f"{path}: FAILED: {error}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
