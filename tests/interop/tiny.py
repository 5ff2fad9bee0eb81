"""A classifier and photographs small enough for every test run, made here and not downloaded.

    python tests/interop/tiny.py FOLDER

writes FOLDER/tiny.onnx (3x32x32, four classes, random but always the same weights), FOLDER/labels.txt, and
FOLDER/colours/{red,green,blue}/*.png, a data set that even random features tell apart.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

SIDE = 32
LABELS = ["ant", "bee", "cat", "dog"]
COLOURS = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}
IMAGES_PER_CLASS = 12


def classifier() -> onnx.ModelProto:
    """Convolution, ReLU, convolution, ReLU, global average, linear: as another program would write it, with a fixed
    batch of one, names of its own and no metadata."""
    rng = np.random.default_rng(0)

    def weights(name, *shape):
        fan_in = np.prod(shape[1:]) if len(shape) > 1 else 1
        values = rng.standard_normal(shape) * np.sqrt(2 / fan_in)
        return numpy_helper.from_array(values.astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["image", "w1", "b1"], ["c1"], kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2]),
        helper.make_node("Relu", ["c2"], ["r2"]),
        helper.make_node("GlobalAveragePool", ["r2"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"], axis=1),
        helper.make_node("Gemm", ["f", "w3", "b3"], ["scores"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, len(LABELS)])],
        [
            weights("w1", 8, 3, 3, 3),
            weights("b1", 8),
            weights("w2", 16, 8, 3, 3),
            weights("b2", 16),
            weights("w3", len(LABELS), 16),
            weights("b3", len(LABELS)),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], producer_name="tiny.py")
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    return model


def colours(folder: Path) -> None:
    """Noisy patches of three colours, a folder for each."""
    rng = np.random.default_rng(1)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for index in range(IMAGES_PER_CLASS):
            pixels = np.clip(rng.normal(colour, 30, size=(48, 64, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index}.png")


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(classifier(), folder / "tiny.onnx")
    (folder / "labels.txt").write_text("\n".join(LABELS) + "\n")
    colours(folder / "colours")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
