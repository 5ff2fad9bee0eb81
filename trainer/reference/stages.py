"""Heads on the features of two stages together beside heads on the last stage alone, for docs/accuracy.md.

    pip install scikit-learn onnx onnxruntime pillow threadpoolctl
    python trainer/reference/stages.py OXFORD17 NAME:FILE:MEAN:DEVIATION...

OXFORD17 is the folder with `jpg/image_0001.jpg` and so on; each FILE an ONNX network, whose pixels are normalized by MEAN and
DEVIATION, three numbers each from 0 to 255. The last stage is what the classifier reads, averaged over the image, and the other
one the last feature map of twice its size or more, averaged too. For three seeds 60 photographs of each class train and 20 test. Of
the features plain or as signed square roots, standardized or of unit length, those and the penalty are taken that are best on a fifth
of the training photographs; unit length and standardization are of each stage by itself.
"""

import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from PIL import Image
from sklearn.linear_model import LogisticRegression

CLASSES, IMAGES, TRAINING = 17, 80, 60
SEEDS = range(3)
STRENGTHS = [0.01, 0.1, 1.0, 10.0, 100.0]


def photograph(path, mean, deviation):
    image = Image.open(path).convert("RGB")
    scale = 256 / min(image.size)
    image = image.resize([round(side * scale) for side in image.size], Image.BICUBIC)
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), dtype=np.float32)
    return ((pixels - mean) / deviation).transpose(2, 0, 1)


def stages(file):
    """A session and the names of the feature maps of the last two image sizes, the later first."""
    model = onnx.shape_inference.infer_shapes(onnx.load(file))
    shapes = {value.name: [d.dim_value for d in value.type.tensor_type.shape.dim] for value in model.graph.value_info}
    maps = [(name, shapes[name]) for node in model.graph.node for name in node.output if len(shapes.get(name, [])) == 4]
    maps = [(name, shape) for name, shape in maps if shape[2] > 1]
    weights = {initializer.name for initializer in model.graph.initializer}
    # A classifier that is a convolution makes a map of its own.
    last_layer = [node for node in model.graph.node if any(name in weights for name in node.input)][-1]
    if last_layer.op_type == "Conv":
        cut = [name for name, _ in maps].index(last_layer.output[0])
        maps = maps[:cut]
    last = maps[-1]
    before = [entry for entry in maps if entry[1][2] >= 2 * last[1][2]][-1]
    chosen = [last[0], before[0]]
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in chosen)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]), chosen


def features(folder, file, mean, deviation):
    session, names = stages(file)
    entry = session.get_inputs()[0].name
    rows = [[], []]
    for number in range(1, CLASSES * IMAGES + 1):
        image = photograph(folder / "jpg" / f"image_{number:04}.jpg", mean, deviation)
        for to, found in zip(rows, session.run(names, {entry: image[None]})):
            to.append(found[0].mean(axis=(1, 2)))
    return [np.stack(row) for row in rows]


def transformed(stage, power, scaling, train):
    x = np.sign(stage) * np.sqrt(np.abs(stage)) if power else stage
    if scaling == "unit":
        return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)
    deviation = x[train].std(axis=0)
    return (x - x[train].mean(axis=0)) / np.where(deviation > 1e-6, deviation, 1.0)


def top1(x, y, c, train, test):
    model = LogisticRegression(C=c, max_iter=300).fit(x[train], y[train])
    return (model.predict(x[test]) == y[test]).mean()


def best(parts, y, train, test, rng):
    """Test top-1 of the candidate that is best on a fifth of the training rows."""
    order = rng.permutation(train)
    held, fitted = order[: len(order) // 5], order[len(order) // 5 :]
    tried = []
    for power in [False, True]:
        for scaling in ["standardized", "unit"]:
            x = np.concatenate([transformed(part, power, scaling, fitted) for part in parts], axis=1)
            scale = np.mean(np.sum(x**2, axis=1))
            tried += [(top1(x, y, c * 100 / scale, fitted, held), power, scaling, c) for c in STRENGTHS]
    _, power, scaling, c = max(tried, key=lambda entry: entry[0])
    x = np.concatenate([transformed(part, power, scaling, train) for part in parts], axis=1)
    return top1(x, y, c * 100 / np.mean(np.sum(x**2, axis=1)), train, test)


def main(folder, *networks):
    y = np.arange(CLASSES * IMAGES) // IMAGES
    print("base               last stage (width)   two stages (width)")
    for network in networks:
        name, file, mean, deviation = network.split(":")
        numbers = lambda text: np.array([float(number) for number in text.split(",")], dtype=np.float32)
        last, before = features(pathlib.Path(folder), file, numbers(mean), numbers(deviation))
        results = []
        for seed in SEEDS:
            rng = np.random.default_rng(seed)
            orders = [first + rng.permutation(IMAGES) for first in range(0, CLASSES * IMAGES, IMAGES)]
            train = np.concatenate([order[:TRAINING] for order in orders])
            test = np.concatenate([order[TRAINING:] for order in orders])
            results.append([best(parts, y, train, test, np.random.default_rng(seed)) for parts in ([last], [last, before])])
        mean_last, mean_both = 100 * np.mean(results, axis=0)
        widths = last.shape[1], last.shape[1] + before.shape[1]
        print(f"{name:18} {mean_last:6.2f} % ({widths[0]}) {mean_both:14.2f} % ({widths[1]})", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
