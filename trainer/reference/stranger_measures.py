"""Which measure tells photographs of unknown classes from those of known ones: the table of docs/adr/0036.

    pip install onnx onnxruntime pillow scikit-learn
    python trainer/reference/stranger_measures.py OXFORD17 CIFAR EFFICIENTNET_LITE0.onnx

OXFORD17 is the folder with `jpg/image_0001.jpg` and so on, CIFAR the file `test_batch.bin` of CIFAR-10 in binary. Features are what
the network's last matrix takes, as signed square roots of unit length; a logistic regression learns fourteen of the flowers.
"""

import sys

import numpy as np
import onnx
from PIL import Image
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from two_stages import CLASSES, IMAGES, TRAINING, prepare, session, transformed

STRANGE, FAR, STRENGTH = 3, 400, 100
SEEDS = range(6)


def features(file, images):
    """Of each image what the last matrix takes, transformed."""
    network = onnx.load(file)
    name = [node for node in network.graph.node if node.op_type in ("Gemm", "MatMul")][-1].input[0]
    runner = session(network, [name])
    rows = [runner.run([name], {runner.get_inputs()[0].name: prepare(image, "lite")})[0].ravel() for image in images]
    return transformed(np.stack(rows))


def split(seed):
    """Training and test photographs of the known classes, and those of the strangers."""
    rng = np.random.default_rng(seed)
    strange = rng.choice(CLASSES, STRANGE, replace=False)
    known = [number for number in range(CLASSES) if number not in strange]
    orders = [number * IMAGES + rng.permutation(IMAGES) for number in known]
    near = np.concatenate([np.arange(number * IMAGES, (number + 1) * IMAGES) for number in strange])
    return np.concatenate([order[:TRAINING] for order in orders]), np.concatenate([order[TRAINING:] for order in orders]), near


def measures(model, rows, classes, questions, known):
    """Of each question how familiar it is, by measure; known are the first so many."""
    logits = model.decision_function(questions)
    energy = np.logaddexp.reduce(logits, axis=1)
    means = np.stack([rows[classes == number].mean(0) for number in np.unique(classes)])
    centered = rows - means[np.searchsorted(np.unique(classes), classes)]
    precision = LedoitWolf(assume_centered=True).fit(centered).precision_
    distances = [(((questions - mean) @ precision) * (questions - mean)).sum(1) for mean in means]
    cosines = np.sort(questions @ rows.T, axis=1)
    standardized = lambda numbers: (numbers - numbers[:known].mean()) / numbers[:known].std()
    return {
        "highest score": np.exp(logits.max(1) - energy),
        "highest logit": logits.max(1),
        "energy": energy,
        "Mahalanobis": -np.min(distances, axis=0),
        "mean of a class": (questions @ (means / np.linalg.norm(means, axis=1, keepdims=True)).T).max(1),
        "nearest image": cosines[:, -1],
        "logit and fifth": standardized(logits.max(1)) + standardized(cosines[:, -5]),
    }


def main(folder, batch, file):
    pixels = np.fromfile(batch, np.uint8).reshape(-1, 3073)[:FAR, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    flowers = features(file, [Image.open(f"{folder}/jpg/image_{number:04}.jpg") for number in range(1, CLASSES * IMAGES + 1)])
    far = features(file, map(Image.fromarray, pixels))
    areas = {}
    for seed in SEEDS:
        train, test, near = split(seed)
        model = LogisticRegression(C=STRENGTH, max_iter=500).fit(flowers[train], train // IMAGES)
        questions = np.concatenate([flowers[test], flowers[near], far])
        ends = np.cumsum([len(test), len(near), len(far)])
        for name, familiar in measures(model, flowers[train], train // IMAGES, questions, len(test)).items():
            own, strange, other = familiar[: ends[0]], familiar[ends[0] : ends[1]], familiar[ends[1] :]
            area = lambda others: roc_auc_score(np.r_[np.ones(len(own)), np.zeros(len(others))], np.r_[own, others])
            areas.setdefault(name, []).append((area(strange), area(other)))
    for name, rows in areas.items():
        print("{:16} near {:.3f}  far {:.3f}".format(name, *np.mean(rows, axis=0)))


if __name__ == "__main__":
    main(*sys.argv[1:])
