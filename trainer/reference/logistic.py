"""Logits of multinomial logistic regression with an L2 penalty, by scikit-learn, and by SciPy where labels are smoothed, for
the tests in trainer/src/finetune/probe.

Features are fractions of 64 that the tests compute too, so that only the logits of the training rows are stored. Logits of
all classes can be shifted together, so each row's mean is taken off.

pip install scikit-learn scipy; python trainer/reference/logistic.py
"""

import json
import pathlib

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression

TARGET = pathlib.Path(__file__).parent.parent / "tests" / "data" / "logistic.json"
CASES = [
    # rows, features, classes, C, smoothing, and what rows of each class count
    (60, 5, 3, 1.0, 0.0),
    (60, 5, 3, 100.0, 0.0),
    (40, 8, 2, 0.01, 0.0),
    (20, 50, 4, 0.1, 0.0),
    (20, 50, 4, 10.0, 0.0),
    (60, 5, 3, 1.0, 0.1),
    (20, 50, 4, 1.0, 0.1),
    (60, 5, 3, 1.0, 0.0, [3.0, 1.0, 0.5]),
    (20, 50, 4, 10.0, 0.0, [1.0, 5.0, 2.0, 0.25]),
]


def features(rows, width):
    return np.array([[((i * 37 + j * 101 + i * j * 13) * 7919 % 257 - 128) / 64 for j in range(width)] for i in range(rows)])


def by_scikit_learn(x, y, c, counts):
    return LogisticRegression(C=c, tol=1e-10, max_iter=100_000).fit(x, y, sample_weight=counts).decision_function(x)


def by_scipy(x, y, c, smoothing, counts):
    rows, width = x.shape
    classes = y.max() + 1
    targets = np.full((rows, classes), smoothing / classes)
    targets[np.arange(rows), y] += 1 - smoothing

    def loss(flat):
        w, b = flat[: width * classes].reshape(width, classes), flat[width * classes :]
        z = x @ w + b
        lse = logsumexp(z, axis=1)
        residuals = counts[:, None] * (np.exp(z - lse[:, None]) - targets)
        value = (counts * (lse - (targets * z).sum(axis=1))).sum() + (w**2).sum() / 2 / c
        return value, np.concatenate([(x.T @ residuals + w / c).ravel(), residuals.sum(axis=0)])

    best = minimize(loss, np.zeros((width + 1) * classes), jac=True, method="L-BFGS-B", options={"maxiter": 100_000, "maxfun": 100_000, "ftol": 1e-15, "gtol": 1e-10})
    w, b = best.x[: width * classes].reshape(width, classes), best.x[width * classes :]
    return x @ w + b


def case(rows, width, classes, c, smoothing, weights=None):
    x, y = features(rows, width), np.array([(i * i * 3 + i * 7) // 2 % classes for i in range(rows)])
    assert set(y) == set(range(classes))
    # Of mean 1, as in graft: a penalty means the same with weights and without.
    counts = np.ones(rows) if weights is None else np.array(weights)[y] / np.array(weights)[y].mean()
    scipy = by_scipy(x, y, c, smoothing, counts)
    scipy -= scipy.mean(axis=1, keepdims=True)
    # Of two classes scikit-learn fits the difference alone, whose penalty is another.
    if smoothing == 0 and classes > 2:
        sklearn = by_scikit_learn(x, y, c, counts)
        sklearn -= sklearn.mean(axis=1, keepdims=True)
        assert np.abs(sklearn - scipy).max() < 1e-4 * np.abs(scipy).max()
    logits = [[round(number, 7) for number in row] for row in scipy.tolist()]
    return {"rows": rows, "width": width, "classes": classes, "c": c, "smoothing": smoothing, "weights": weights, "logits": logits}


TARGET.write_text(json.dumps([case(*numbers) for numbers in CASES]) + "\n")
