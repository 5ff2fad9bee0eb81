"""What PyTorch's two exporters and tf2onnx make of common classifiers, without the weights, and what ONNX Runtime answers.
For tests/tests/exporters.rs.

    pip install torch torchvision onnx onnxruntime onnxscript; python tests/reference/exporters.py torch
    pip install tensorflow-cpu tf2onnx onnx onnxruntime;       python tests/reference/exporters.py keras

Writes tests/data/exporters/NAME.onnx, and tests/data/exporters.json. A network's numbers are made here and in the test by one
formula: each large tensor is declared as external data whose location says from where to where its numbers lie and which
they are. So a file has the structure that the exporter gave it, and is small.
"""

import json
import math
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, numpy_helper

from generated import generated

onnxruntime.set_default_logger_severity(3)
TARGET = pathlib.Path(__file__).parent.parent / "data"
CLASSES = 10
# Smaller tensors stay in the file: constants that the graph computes with are among them.
SMALLEST = 40


def uses(graph):
    """For each tensor the nodes that take it and at which place, seen through nodes that only change its shape."""
    found = {}
    for node in graph.node:
        for place, name in enumerate(node.input):
            found.setdefault(name, []).append((node, place))
    return found


def bounds(name, dims, users):
    """Numbers that keep a network's signal alive: He's for products, statistics that are no identity for the rest."""
    for node, place in users.get(name, []):
        if node.op_type in ("Identity", "Reshape", "Transpose", "Cast", "Unsqueeze"):
            return bounds(node.output[0], dims, users)
        if node.op_type == "Conv" and place == 1:
            limit = math.sqrt(6 / math.prod(dims[1:]))
            return -limit, limit
        if node.op_type in ("Gemm", "MatMul") and place == 1:
            limit = math.sqrt(3 / max(dims))
            return -limit, limit
        if node.op_type == "BatchNormalization" and place in (1, 4):
            return 0.6, 1.4
        if node.op_type in ("Mul", "Div"):
            return 0.6, 1.4
    return -0.1, 0.1


def skeleton(model):
    """Replaces the numbers of every large tensor, and answers the model with them and without."""
    full, bare = onnx.ModelProto(), model
    users = uses(model.graph)
    for seed, tensor in enumerate(model.graph.initializer):
        count = math.prod(tensor.dims)
        if tensor.data_type == TensorProto.FLOAT and count >= SMALLEST:
            low, high = (float(np.float32(bound)) for bound in bounds(tensor.name, list(tensor.dims), users))
            numbers = generated(count, low, high, seed).reshape(list(tensor.dims))
            tensor.CopyFrom(numpy_helper.from_array(numbers, tensor.name))
            tensor.doc_string = f"{low!r} {high!r} {seed}"
    full.CopyFrom(model)
    for tensor in bare.graph.initializer:
        if tensor.doc_string:
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            entry = tensor.external_data.add()
            entry.key, entry.value = "location", f"{tensor.doc_string} {math.prod(tensor.dims)}"
            tensor.doc_string = ""
    # Traces of the exporter's source, which take most of the space and may name folders.
    for holder in [bare, bare.graph, *bare.graph.node, *bare.graph.value_info, *bare.graph.initializer]:
        holder.ClearField("metadata_props")
        holder.ClearField("doc_string")
    bare.graph.ClearField("value_info")
    return full, bare


def record(name, model, shape):
    full, bare = skeleton(model)
    image = generated(math.prod(shape), -2, 2, 99).reshape(shape)
    session = onnxruntime.InferenceSession(full.SerializeToString(), providers=["CPUExecutionProvider"])
    output = session.run(None, {session.get_inputs()[0].name: image})[0]
    assert np.isfinite(output).all() and output.std() > 1e-4, (name, output.std())
    folder = TARGET / "exporters"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.onnx").write_bytes(bare.SerializeToString(deterministic=True))
    print(f"{name}: opset {model.opset_import[0].version}, {sorted({node.op_type for node in model.graph.node})}")
    return {"shape": list(shape), "output": [float(f"{number:.7g}") for number in output.ravel()]}


def torch_files():
    import warnings

    import torch
    import torchvision

    warnings.filterwarnings("ignore")
    # Network, side of the input, and the operator sets of the older exporter and of the newer.
    table = [
        ("alexnet", 224, 9, None),
        ("squeezenet1_0", 96, 11, 18),
        ("googlenet", 96, 12, 18),
        ("inception_v3", 107, 13, 20),
        ("densenet121", 64, 9, 18),
        ("shufflenet_v2_x0_5", 64, 13, 18),
        ("mobilenet_v2", 64, 10, 18),
        ("mobilenet_v3_small", 64, 14, 18),
        ("mnasnet0_5", 64, 11, None),
        ("efficientnet_b0", 64, 13, None),
        ("resnet18", 64, 7, 18),
        ("resnext50_32x4d", 64, 16, None),
        ("regnet_y_400mf", 64, None, 18),
    ]
    for name, side, older, newer in table:
        options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        network = torchvision.models.get_model(name, weights=None, num_classes=CLASSES, **options).eval()
        if name == "googlenet":
            network.transform_input = True
        image = torch.zeros(1, 3, side, side)
        for exporter, opset in (("script", older), ("dynamo", newer)):
            if opset is None:
                continue
            path = f"/tmp/{name}.onnx"
            if exporter == "script":
                axes = {"input": {0: "batch"}, "output": {0: "batch"}}
                torch.onnx.export(network, (image,), path, opset_version=opset, dynamo=False, dynamic_axes=axes, input_names=["input"], output_names=["output"])
            else:
                # A batch of one, as a user gets it without asking for more.
                torch.onnx.export(network, (image,), path, opset_version=opset, dynamo=True, verbose=False)
            yield f"torch_{exporter}_{name}", onnx.load(path), (1, 3, side, side)
    # Batch normalisation kept, as for further training.
    network = torchvision.models.resnet18(num_classes=CLASSES).eval()
    training = torch.onnx.TrainingMode.PRESERVE
    torch.onnx.export(network, (torch.zeros(1, 3, 64, 64),), "/tmp/kept.onnx", opset_version=17, dynamo=False, training=training, do_constant_folding=False)
    yield "torch_script_resnet18_kept", onnx.load("/tmp/kept.onnx"), (1, 3, 64, 64)


def keras_files():
    import keras
    import tensorflow as tf
    import tf2onnx

    table = [
        ("ResNet50V2", 96, 13),
        ("ResNet50", 64, 9),
        ("MobileNetV2", 96, 15),
        ("MobileNetV3Small", 96, 13),
        ("DenseNet121", 64, 12),
        ("InceptionV3", 96, 11),
        ("VGG16", 32, 10),
    ]
    for name, side, opset in table:
        keras.utils.clear_session()
        network = getattr(keras.applications, name)(weights=None, classes=CLASSES, input_shape=(side, side, 3))
        signature = [tf.TensorSpec((None, side, side, 3), tf.float32, name="image")]
        function = tf.function(lambda image, network=network: network(image, training=False))
        model, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=opset)
        yield f"keras_{name}", model, (1, side, side, 3)


def main():
    (which,) = sys.argv[1:]
    path = TARGET / "exporters.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    results = {name: result for name, result in results.items() if not name.startswith(which)}
    for stale in (TARGET / "exporters").glob(f"{which}_*.onnx"):
        stale.unlink()
    for name, model, shape in {"torch": torch_files, "keras": keras_files}[which]():
        results[name] = record(name, model, shape)
    path.write_text(json.dumps(dict(sorted(results.items())), separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
