"""PyTorch's cross-entropy and its gradients, for the tests in trainer/src/loss.rs.

pip install torch; python trainer/reference/loss.py
"""

import json
import pathlib

import torch
import torch.nn.functional as F

TARGET = pathlib.Path(__file__).parent.parent / "tests" / "data" / "loss.json"
generator = torch.Generator().manual_seed(0)


def numbers(*shape, low=-4.0, high=4.0):
    uniform = torch.rand(shape, generator=generator) * (high - low) + low
    return (uniform * 64).round() / 64


def case(logits, target, smoothing=0.0, weight=None):
    logits = logits.clone().requires_grad_()
    loss = F.cross_entropy(logits, target, weight=weight, label_smoothing=smoothing)
    loss.backward()
    return {
        "logits": logits.flatten().tolist(),
        "classes": target.tolist() if target.ndim == 1 else None,
        "shares": target.flatten().tolist() if target.ndim == 2 else None,
        "smoothing": smoothing,
        "weights": None if weight is None else weight.tolist(),
        "loss": loss.item(),
        "gradient": logits.grad.flatten().tolist(),
    }


LOGITS, CLASSES, WEIGHTS = numbers(5, 4), torch.tensor([1, 3, 0, 1, 2]), torch.tensor([0.5, 2.0, 1.0, 0.25])
# Of eighths, each row sums to one.
SHARES = torch.tensor([[8, 0, 0, 0], [5, 3, 0, 0], [0, 1, 0, 7], [2, 2, 2, 2], [0, 4, 4, 0]]) / 8
HUGE = torch.tensor([[1e3, -1e3, 0.0, 999.0], [-1e3, -1e3, -1e3, -1e3], [0.0, 1e3, 1e3, -1e3]])
cases = [
    case(LOGITS, CLASSES),
    case(LOGITS, CLASSES, smoothing=0.1),
    case(LOGITS, CLASSES, weight=WEIGHTS),
    case(LOGITS, CLASSES, smoothing=0.2, weight=WEIGHTS),
    case(LOGITS, SHARES),
    case(LOGITS, SHARES, smoothing=0.1),
    case(LOGITS, SHARES, smoothing=0.1, weight=WEIGHTS),
    case(HUGE, torch.tensor([1, 2, 2])),
    case(HUGE, torch.tensor([0, 3, 0]), smoothing=0.1),
]
TARGET.write_text("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]\n")
