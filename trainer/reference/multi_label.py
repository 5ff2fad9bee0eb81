"""Classifiers whose classes stand beside each other: measures, heads and losses by scikit-learn and SciPy, for the tests in
trainer/src/metrics, trainer/src/finetune/probe and trainer/src/optim/binary.rs.

Logits, features and labels are made of whole numbers that the tests compute too, so that only the results are stored.

pip install scikit-learn scipy; python trainer/reference/multi_label.py
"""

import json
import pathlib

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, precision_recall_curve, precision_score, recall_score

TARGETS = pathlib.Path(__file__).parent.parent / "tests" / "data"
# Images, classes, and of ten images how many are helped to be right. Of the last class of the third no image is.
MEASURED = [(60, 4, 6), (200, 7, 4), (90, 9, 8)]
# Rows, features, classes, C, and what an image of each class counts.
HEADS = [
    (60, 5, 3, 1.0, None),
    (60, 5, 3, 100.0, None),
    (20, 50, 4, 0.1, None),
    (20, 50, 4, 10.0, None),
    (60, 5, 3, 1.0, [3.0, 1.0, 0.5]),
]


def numbers(rows, columns):
    return np.array([[((i * 37 + j * 101 + i * j * 13) * 7919 % 257 - 128) / 64 for j in range(columns)] for i in range(rows)])


def truths(images, classes):
    rule = lambda i, k: (i * 31 + k * 17 + i * k * 7) % 101 % (k + 2) == 0
    return np.array([[int(rule(i, k) and not (classes == 9 and k == 8)) for k in range(classes)] for i in range(images)])


def temperature(logits, y):
    """Least binary cross-entropy, with Platt's targets for each class."""
    there = y.sum(axis=0)
    high, low = (there + 1) / (there + 2), 1 / (len(y) - there + 2)
    targets = np.where(y == 1, high, low)
    loss = lambda log: -(targets * log_expit(logits / np.exp(log)) + (1 - targets) * log_expit(-logits / np.exp(log))).sum()
    return np.exp(minimize_scalar(loss, bounds=(-9, 9), method="bounded", options={"xatol": 1e-12}).x)


def best_f1(scores, y):
    precision, recall, _ = precision_recall_curve(y, scores)
    return max(2 * p * r / (p + r) for p, r in zip(precision, recall) if p + r > 0)


def measured(images, classes, helped):
    y = truths(images, classes)
    logits = numbers(images, classes) + 3.0 * y * (np.arange(images)[:, None] % 10 < helped)
    thresholds = np.linspace(0.3, 0.7, classes).astype(np.float32)
    said = (expit(logits).astype(np.float32) >= thresholds).astype(int)
    own = [k for k in range(classes) if y[:, k].any()]
    return {
        "images": images,
        "classes": classes,
        "helped": helped,
        "thresholds": thresholds.tolist(),
        "average_precision": [average_precision_score(y[:, k], logits[:, k]) if k in own else None for k in range(classes)],
        "mean_average_precision": average_precision_score(y[:, own], logits[:, own], average="macro"),
        "precision": [precision_score(y[:, k], said[:, k]) if said[:, k].any() else None for k in range(classes)],
        "recall": [recall_score(y[:, k], said[:, k]) if k in own else None for k in range(classes)],
        "f1": [f1_score(y[:, k], said[:, k], zero_division=0) if y[:, k].any() or said[:, k].any() else None for k in range(classes)],
        "micro_f1": f1_score(y, said, average="micro"),
        "macro_f1": f1_score(y[:, own], said[:, own], average="macro"),
        "exact": accuracy_score(y, said),
        "top1": y[np.arange(images), logits.argmax(axis=1)].mean(),
        "loss": -(y * log_expit(logits) + (1 - y) * log_expit(-logits)).sum() / images,
        "temperature": temperature(logits, y),
        "best_f1": [best_f1(logits[:, k], y[:, k]) if k in own else None for k in range(classes)],
    }


def head(rows, width, classes, c, weights):
    x, y = numbers(rows, width), truths(rows, classes)

    def logits(k):
        weight = None if weights is None else {0: 1.0, 1: weights[k]}
        model = LogisticRegression(C=c, tol=1e-10, max_iter=100_000, class_weight=weight)
        return model.fit(x, y[:, k]).decision_function(x)

    columns = np.array([logits(k) for k in range(classes)])
    return {
        "rows": rows,
        "width": width,
        "classes": classes,
        "c": c,
        "weights": weights,
        "logits": [[round(number, 7) for number in row] for row in columns.T.tolist()],
    }


def loss(logits, targets, smoothing=0.0, weights=None):
    """The gradient by central differences in f64, which are exact to some 1e-9."""
    targets = np.asarray(targets, dtype=float)
    weight = np.ones(logits.shape[1]) if weights is None else np.array(weights)

    def value(z):
        y = (1 - smoothing) * targets + smoothing / 2
        return -(weight * y * log_expit(z) + (1 - y) * log_expit(-z)).sum() / len(z)

    gradient = np.zeros_like(logits)
    for at in np.ndindex(logits.shape):
        step = np.zeros_like(logits)
        step[at] = 1e-5
        gradient[at] = (value(logits + step) - value(logits - step)) / 2e-5
    return {
        "logits": logits.ravel().tolist(),
        "targets": targets.ravel().tolist(),
        "smoothing": smoothing,
        "weights": weights,
        "loss": value(logits),
        "gradient": gradient.ravel().tolist(),
    }


def write(name, cases):
    (TARGETS / name).write_text("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]\n")


HUGE = np.array([[1e3, -1e3, 0.0, 999.0], [-50.0, 60.0, -1e3, 1e3]])
write("multi_label_metrics.json", [measured(*case) for case in MEASURED])
write("multi_label_heads.json", [head(*case) for case in HEADS])
write("binary_loss.json", [
    loss(numbers(5, 4), truths(5, 4)),
    loss(numbers(5, 4), truths(5, 4), smoothing=0.1),
    loss(numbers(5, 4), truths(5, 4), weights=[0.5, 2.0, 1.0, 0.25]),
    loss(numbers(5, 4), truths(5, 4) * 0.75 + 0.125, smoothing=0.2, weights=[0.5, 2.0, 1.0, 0.25]),
    loss(HUGE, [[0, 1, 1, 1], [0, 1, 0, 1]]),
])
