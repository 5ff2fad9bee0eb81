"""Whether what graft writes means the same to everybody.

    cargo run --package tests --example export_samples -- FOLDER
    python tests/interop/check_samples.py FOLDER

For every file that the example wrote (each way of writing each operator, and networks of the papers): ONNX's checker with all
its checks, shape inference in strict mode, and the answers of ONNX Runtime, OpenVINO and ONNX's reference implementation,
which must be those of graft's executor. The example has compared tract's already.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx.checker
import onnx.reference
import onnx.shape_inference
import onnxruntime
import openvino

# Where ONNX's reference implementation is not to be believed: before operator set 14 it mixes the batch into the stored
# statistics of a batch normalisation, and its LRN counts channels to the size of the batch.
UNBELIEVED = {"BatchNormalization": 14, "LRN": 10**9}
# It convolves in numpy; what takes it minutes is left out.
LARGEST_REFERENCE = 300


def believed(model: onnx.ModelProto) -> bool:
    opset = model.opset_import[0].version
    if len(model.graph.node) > LARGEST_REFERENCE:
        return False
    return all(opset >= UNBELIEVED.get(node.op_type, 0) for node in model.graph.node)


def answers(path: Path, model: onnx.ModelProto, image: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = {"ONNX Runtime": session.run(None, {"input": image})[0]}
    # Its default precision is whatever is fast on the machine, bfloat16 for instance.
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(path), "CPU", exact)
    found["OpenVINO"] = compiled([image])[compiled.output(0)]
    if believed(model):
        found["the reference"] = onnx.reference.ReferenceEvaluator(model).run(None, {"input": image})[0]
    return found


def check(path: Path, sample: dict) -> list[str]:
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    if (opset := model.opset_import[0].version) != sample["opset"]:
        raise ValueError(f"operator set {opset}, not {sample['opset']}")
    image = np.array(sample["input"], dtype=np.float32).reshape(sample["shape"])
    expected = np.array(sample["output"], dtype=np.float32)
    found = answers(path, model, image)
    for name, output in found.items():
        difference = np.abs(output.ravel() - expected).max() / max(np.abs(expected).max(), 1e-30)
        if not difference <= sample["tolerance"]:
            raise ValueError(f"{name} differs by {difference:.1e} of the largest, {sample['tolerance']:.0e} is allowed")
    return list(found)


def main() -> int:
    onnxruntime.set_default_logger_severity(3)
    folder = Path(sys.argv[1])
    samples = json.loads((folder / "samples.json").read_text())
    failed, checked = 0, {}
    for name, sample in samples.items():
        try:
            for program in check(folder / name, sample):
                checked[program] = checked.get(program, 0) + 1
        except Exception as error:  # noqa: BLE001 - any failure of any program is this file's
            failed += 1
            print(f"{name}: FAILED: {error}", file=sys.stderr)
    print(f"{len(samples)} files: " + ", ".join(f"{count} as in {name}" for name, count in checked.items()))
    return 1 if failed or not samples else 0


if __name__ == "__main__":
    sys.exit(main())
