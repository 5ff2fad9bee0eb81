"""Measures of classifiers by scikit-learn and SciPy, for the tests in trainer/src/metrics. The expected calibration error
and the targets of temperature scaling are written out here, since neither library has them.

Logits are fractions of 64 that the tests compute too, so that only the results are stored.

pip install scikit-learn scipy; python trainer/reference/metrics.py
"""

import json
import pathlib

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support, top_k_accuracy_score

TARGET = pathlib.Path(__file__).parent.parent / "tests" / "data" / "metrics.json"
BINS = 15
# Images, classes, and of ten images how many are helped to be right. Of the third, the last class has no image.
CASES = [(40, 3, 7), (200, 7, 8), (150, 9, 5), (30, 6, 10), (12, 2, 6)]


def example(images, classes, helped):
    present = classes - 1 if classes == 9 else classes
    truths = np.array([(i * i * 3 + i * 7) // 2 % present for i in range(images)])
    logits = np.array([[((i * 37 + j * 101 + i * j * 13) * 7919 % 257 - 128) / 64 for j in range(classes)] for i in range(images)])
    for i, truth in enumerate(truths):
        logits[i, truth] += 4.0 if i % 10 < helped else 0.0
    return logits, truths


def ece(scores, truths):
    """Guo et al. 2017, equations 3 and 5: bins of equal width, open below and closed above."""
    best, correct = scores.max(axis=1), scores.argmax(axis=1) == truths
    total = 0.0
    for low in np.arange(BINS) / BINS:
        inside = (best > low) & (best <= low + 1 / BINS)
        if inside.any():
            total += inside.mean() * abs(best[inside].mean() - correct[inside].mean())
    return total


def temperature(logits, truths):
    """Least cross-entropy with targets of which 1 / (n + 2) is spread over the other classes (Platt 1999)."""
    images, classes = logits.shape
    slack = 1 / (images + 2)
    targets = np.full(logits.shape, slack / (classes - 1))
    targets[np.arange(images), truths] = 1 - slack
    loss = lambda log: -(targets * log_softmax(logits / np.exp(log), axis=1)).sum() / images
    return np.exp(minimize_scalar(loss, bounds=(-9, 9), method="bounded", options={"xatol": 1e-12}).x)


def interval(part, whole):
    if whole == 0:
        return None
    ends = binomtest(part, whole).proportion_ci(method="wilson")
    return [ends.low, ends.high]


def case(images, classes, helped):
    logits, truths = example(images, classes, helped)
    names = np.arange(classes)
    scores, predicted = softmax(logits, axis=1), logits.argmax(axis=1)
    # A class with two highest logits could be counted either way.
    assert all(np.sort(row)[-1] > np.sort(row)[-2] for row in logits)
    precision, recall, f1, support = precision_recall_fscore_support(truths, predicted, labels=names, zero_division=np.nan)
    hits = int((predicted == truths).sum())
    number = lambda value: None if np.isnan(value) else round(float(value), 9)
    recalls = [interval(int(((predicted == truths) & (truths == name)).sum()), int(support[name])) for name in names]
    return {
        "images": images,
        "classes": classes,
        "helped": helped,
        "top1": number(hits / images),
        "top1_interval": interval(hits, images),
        "top5": number(top_k_accuracy_score(truths, logits, k=5, labels=names)) if classes > 5 else 1.0,
        "macro_f1": number(np.mean([f1[name] for name in names if support[name] > 0])),
        "loss": number(log_loss(truths, scores, labels=names)),
        "ece": number(ece(scores, truths)),
        "temperature": number(temperature(logits, truths)),
        "precision": [number(value) for value in precision],
        "recall": [number(value) for value in recall],
        "recall_interval": recalls,
        "f1": [number(value) for value in f1],
        "confusion": confusion_matrix(truths, predicted, labels=names).tolist(),
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps([case(*numbers) for numbers in CASES]) + "\n")
