"""Which measure tells photographs of unknown classes from those of known ones: the table of docs/adr/0036.

    pip install onnx onnxruntime pillow scikit-learn scipy
    python trainer/reference/stranger_measures.py OXFORD17 CIFAR NETWORK.onnx torchvision|lite

OXFORD17 is the folder with `jpg/image_0001.jpg` and so on, CIFAR the file `test_batch.bin` of CIFAR-10 in binary. Features are what
the network's last matrix or kernel takes, or a backbone's output, averaged over its pixels, as signed square roots of unit length. A
logistic regression learns fourteen of the flowers, with labels as they are (0) and smoothed by 0.1, as graft's heads are. Sums are of
measures that are divided by their standard deviations over the known test images.
"""

import sys

import numpy as np
import onnx
from PIL import Image
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp
from sklearn.covariance import LedoitWolf
from sklearn.metrics import roc_auc_score
from two_stages import CLASSES, IMAGES, TRAINING, prepare, session, transformed

STRANGE, FAR, STRENGTH, DIRECTIONS, SHARE, IMAGENET = 3, 400, 100, 64, 0.3, 1000
SEEDS = range(6)


def features(file, preparation, images):
    """Of each image what the last matrix or kernel takes, transformed."""
    network = onnx.load(file)
    is_classifier = network.graph.output[0].type.tensor_type.shape.dim[1].dim_value == IMAGENET
    matrices = [node.input[0] for node in network.graph.node if node.op_type in ("Gemm", "MatMul")]
    kernels = [node.input[0] for node in network.graph.node if node.op_type == "Conv"]
    name = (matrices or kernels)[-1] if is_classifier else network.graph.output[0].name
    runner = session(network, [name])
    rows = [runner.run([name], {runner.get_inputs()[0].name: prepare(image, preparation)})[0] for image in images]
    return transformed(np.stack([row.mean((2, 3)).ravel() if row.ndim == 4 else row.ravel() for row in rows]))


def split(seed):
    """Training and test photographs of the known classes, and those of the strangers."""
    rng = np.random.default_rng(seed)
    strange = rng.choice(CLASSES, STRANGE, replace=False)
    known = [number for number in range(CLASSES) if number not in strange]
    orders = [number * IMAGES + rng.permutation(IMAGES) for number in known]
    near = np.concatenate([np.arange(number * IMAGES, (number + 1) * IMAGES) for number in strange])
    return np.concatenate([order[:TRAINING] for order in orders]), np.concatenate([order[TRAINING:] for order in orders]), near


def head(rows, classes, smoothing):
    """A function from features to logits: multinomial logistic regression of smoothed labels."""
    count, width = classes.max() + 1, rows.shape[1]
    labels = np.eye(count)[classes] * (1 - smoothing) + smoothing / count

    def loss(flat):
        weights = flat.reshape(width + 1, count)
        scores = log_softmax(rows @ weights[:-1] + weights[-1], axis=1)
        error = np.exp(scores) - labels
        gradient = np.vstack([STRENGTH * rows.T @ error + weights[:-1], STRENGTH * error.sum(0)])
        return (weights[:-1] ** 2).sum() / 2 - STRENGTH * (labels * scores).sum(), gradient.ravel()

    found = minimize(loss, np.zeros((width + 1) * count), jac=True, method="L-BFGS-B", options={"maxiter": 120})
    weights = found.x.reshape(width + 1, count)
    return lambda questions: questions @ weights[:-1] + weights[-1]


def distances(rows, classes, questions):
    """Of each question how near it is to the training images, by measure, and how far these are outside of their subspace."""
    means = np.stack([rows[classes == number].mean(0) for number in range(classes.max() + 1)])
    precision = LedoitWolf(assume_centered=True).fit(rows - means[classes]).precision_
    squares = lambda mean, precision: (((questions - mean) @ precision) * (questions - mean)).sum(1)
    nearest = np.min([squares(mean, precision) for mean in means], axis=0)
    center = rows.mean(0)
    basis = np.linalg.svd(rows - center, full_matrices=False)[2][:DIRECTIONS]
    outside = lambda images: np.linalg.norm((images - center) - (images - center) @ basis.T @ basis, axis=1)
    measures = {
        "Mahalanobis": -np.sqrt(nearest),
        "relative Mahalanobis": squares(center, LedoitWolf().fit(rows).precision_) - nearest,
        "mean of a class": (questions @ (means / np.linalg.norm(means, axis=1, keepdims=True)).T).max(1),
        "fifth nearest": np.sort(questions @ rows.T, axis=1)[:, -5],
        "residual": -outside(questions),
    }
    return measures, outside(rows).mean()


def measures(rows, classes, questions, known):
    """Of each question how familiar it is, by measure; known are the first so many."""
    near, outside = distances(rows, classes, questions)
    found = dict(near)
    scaled = lambda numbers: numbers / numbers[:known].std()
    for smoothing in (0, 0.1):
        model = head(rows, classes, smoothing)
        logits, trained = model(questions), model(rows)
        scores = log_softmax(logits, axis=1)
        energy = logsumexp(logits, axis=1)
        profiles = np.stack([np.exp(log_softmax(trained[classes == number], axis=1)).mean(0) for number in range(classes.max() + 1)])
        logit_measures = {
            "highest score": scores.max(1),
            "highest logit": logits.max(1),
            "energy": energy,
            "energy of 3x": logsumexp(3 * logits, axis=1),
            "profile": -np.min([(profile * (np.log(profile) - scores)).sum(1) for profile in profiles], axis=0),
            "ViM": energy + trained.max(1).mean() / outside * near["residual"],
        }
        for name in ("Mahalanobis", "mean of a class", "fifth nearest", "residual"):
            logit_measures[f"energy + {name}"] = scaled(energy) + SHARE * scaled(near[name])
        found |= {f"{name}, {smoothing}": numbers for name, numbers in logit_measures.items()}
    return found


def main(folder, batch, file, preparation):
    pixels = np.fromfile(batch, np.uint8).reshape(-1, 3073)[:FAR, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    names = [f"{folder}/jpg/image_{number:04}.jpg" for number in range(1, CLASSES * IMAGES + 1)]
    flowers = features(file, preparation, map(Image.open, names))
    far = features(file, preparation, map(Image.fromarray, pixels))
    areas = {}
    for seed in SEEDS:
        train, test, near = split(seed)
        classes = np.unique(train // IMAGES, return_inverse=True)[1]
        questions = np.concatenate([flowers[test], flowers[near], far])
        ends = np.cumsum([len(test), len(near), len(far)])
        for name, familiar in measures(flowers[train], classes, questions, len(test)).items():
            own, strange, other = familiar[: ends[0]], familiar[ends[0] : ends[1]], familiar[ends[1] :]
            area = lambda others: roc_auc_score(np.r_[np.ones(len(own)), np.zeros(len(others))], np.r_[own, others])
            areas.setdefault(name, []).append((area(strange), area(other)))
    for name, rows in areas.items():
        (near, far), (least_near, least_far) = np.mean(rows, axis=0), np.min(rows, axis=0)
        print(f"{name:30} near {near:.3f} ({least_near:.3f})  far {far:.3f} ({least_far:.3f})")


if __name__ == "__main__":
    main(*sys.argv[1:])
