"""Whether features of two stages of a network make better heads than those of the last one.

    pip install onnx onnxruntime pillow scikit-learn
    python trainer/reference/two_stages.py OXFORD17 NETWORK.onnx torchvision|lite

OXFORD17 is the folder with `jpg/image_0001.jpg` and so on. Of the network's activations the last ones of the smallest two image sizes
are averaged over their pixels. A logistic regression learns the signed square roots, scaled to unit length, of the last stage, and
of both beside each other, the earlier one at its full length or at half of it: 60 photographs of each class to train, 20 to test,
seeds 0 to 5.
"""

import copy
import sys

import numpy as np
import onnx
import onnxruntime
from PIL import Image
from sklearn.linear_model import LogisticRegression

CLASSES, IMAGES, TRAINING = 17, 80, 60
SIZE = 224
# Mean, deviation and filter for pixels from 0 to 1, the shorter side resized to 256.
PREPARATIONS = {
    "torchvision": (np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225]), Image.BILINEAR),
    "lite": (np.float32(127 / 255), np.float32(128 / 255), Image.BICUBIC),
}


def prepare(image, preparation):
    """A photograph as `[1, 3, 224, 224]`."""
    mean, deviation, resampling = PREPARATIONS[preparation]
    image = image.convert("RGB")
    scale = 256 / min(image.size)
    image = image.resize([max(256, round(side * scale)) for side in image.size], resampling)
    left, top = [(side - SIZE) // 2 for side in image.size]
    pixels = np.asarray(image.crop((left, top, left + SIZE, top + SIZE)), np.float32) / 255
    return ((pixels - mean) / deviation).transpose(2, 0, 1)[None].astype(np.float32)


def session(network, names):
    """The network with these values as outputs."""
    network = copy.deepcopy(network)
    known = {output.name for output in network.graph.output}
    outputs = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names if name not in known]
    network.graph.output.extend(outputs)
    return onnxruntime.InferenceSession(network.SerializeToString())


def stages(network):
    """The names of the last activations of the smallest two sizes, the smallest first."""
    names = [node.output[0] for node in network.graph.node if node.op_type in ("Add", "Relu", "Clip")]
    runner = session(network, names)
    last = {}
    for name, value in zip(names, runner.run(names, {runner.get_inputs()[0].name: np.zeros((1, 3, SIZE, SIZE), np.float32)})):
        if value.ndim == 4 and value.shape[2] > 1:
            last[value.shape[2]] = name
    return [last[size] for size in sorted(last)[:2]]


def transformed(features):
    """Signed square roots, each row of unit length."""
    roots = np.sign(features) * np.sqrt(np.abs(features))
    return roots / np.linalg.norm(roots, axis=1, keepdims=True)


def top1(features, strength, seed):
    """The share of the test photographs that are classified correctly."""
    rng = np.random.default_rng(seed)
    orders = [first + rng.permutation(IMAGES) for first in range(0, CLASSES * IMAGES, IMAGES)]
    train, test = [np.concatenate(part) for part in zip(*((order[:TRAINING], order[TRAINING:]) for order in orders))]
    model = LogisticRegression(C=strength, max_iter=300).fit(features[train], train // IMAGES)
    return (model.predict(features[test]) == test // IMAGES).mean()


def main(folder, file, preparation):
    network = onnx.load(file)
    names = stages(network)
    runner = session(network, names)
    rows = [[], []]
    for number in range(1, CLASSES * IMAGES + 1):
        image = prepare(Image.open(f"{folder}/jpg/image_{number:04}.jpg"), preparation)
        for row, value in zip(rows, runner.run(names, {runner.get_inputs()[0].name: image})):
            row.append(value.mean((2, 3))[0])
    late, early = [transformed(np.stack(row)) for row in rows]
    for name, features in {"last": late, "both": np.hstack([late, early]), "half": np.hstack([late, early / 2])}.items():
        means = {strength: np.mean([top1(features, strength, seed) for seed in range(6)]) for strength in (30, 100, 300)}
        print(name, features.shape[1], {strength: f"{mean:.2%}" for strength, mean in means.items()}, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
