"""What PyTorch's optimisers, clipping and averages make of made-up gradients, for the tests in trainer/src/optim.

The gradients are fractions of 64 that the tests compute too, so that only results are stored: the weights after some of
100 steps. The learning rate falls to a tenth half-way.

pip install torch; python trainer/reference/optim.py
"""

import json
import pathlib

import torch

TARGET = pathlib.Path(__file__).parent.parent / "tests" / "data" / "optim_torch.json"
STEPS = 100
KEPT = [1, 2, 50, 51, 100]
INITIAL = [1.0, -2.0, 0.5, 0.0, 3.0, -0.25]


def gradient(step):
    numbers = [((step * 37 + i * 101 + step * i * 13) * 7919 % 257 - 128) / 64 for i in range(len(INITIAL))]
    return torch.tensor(numbers)


def optimiser(make, rate):
    """The weights after the steps KEPT."""
    w = torch.tensor(INITIAL, requires_grad=True)
    rule = make([w], rate)
    kept = []
    for step in range(1, STEPS + 1):
        if step == STEPS // 2 + 1:
            rule.param_groups[0]["lr"] = rate / 10
        w.grad = gradient(step)
        rule.step()
        if step in KEPT:
            kept.append(w.detach().tolist())
    return {"rate": rate, "weights": kept}


def clip(length, limit):
    """Two tensors clipped together: norm, and the first gradients after it. In f64, because PyTorch's sum of 100,000
    squares in f32 is wrong by 3e-5."""
    parameters = [torch.zeros(n, dtype=torch.float64, requires_grad=True) for n in (len(INITIAL), length)]
    parameters[0].grad = gradient(1).double()
    parameters[1].grad = (torch.arange(length) * 7919 % 257 - 128).double() / 64
    norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
    clipped = torch.cat([p.grad[:3] for p in parameters])
    return {"length": length, "limit": limit, "norm": norm.item(), "clipped": clipped.tolist()}


def ema(decay):
    """torchvision's ExponentialMovingAverage, the weights of step n being its gradient; the first begins it."""
    model = torch.nn.Linear(len(INITIAL), 1, bias=False)
    averaged = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(decay), use_buffers=True
    )
    for step in range(1, STEPS + 1):
        model.weight.data = gradient(step).view(1, -1)
        averaged.update_parameters(model)
    return {"decay": decay, "averages": averaged.module.weight.flatten().tolist()}


SGD = torch.optim.SGD
cases = {
    "kept": KEPT,
    "sgd": optimiser(lambda w, lr: SGD(w, lr), 0.05),
    "sgd, decay": optimiser(lambda w, lr: SGD(w, lr, weight_decay=0.1), 0.05),
    "sgd, momentum": optimiser(lambda w, lr: SGD(w, lr, momentum=0.9), 0.05),
    "sgd, momentum, decay": optimiser(lambda w, lr: SGD(w, lr, momentum=0.9, weight_decay=0.1), 0.05),
    "sgd, nesterov, decay": optimiser(lambda w, lr: SGD(w, lr, momentum=0.9, weight_decay=0.1, nesterov=True), 0.05),
    "adamw": optimiser(lambda w, lr: torch.optim.AdamW(w, lr, weight_decay=0.0), 0.01),
    "adamw, decay": optimiser(lambda w, lr: torch.optim.AdamW(w, lr, weight_decay=0.1), 0.01),
    "adamw, other betas": optimiser(
        lambda w, lr: torch.optim.AdamW(w, lr, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.05), 0.01
    ),
    "clip": [clip(10, 1.0), clip(10, 1e3), clip(100_000, 5.0)],
    "ema": ema(0.9),
}
lines = [f"{json.dumps(name)}:{json.dumps(case, separators=(',', ':'))}" for name, case in cases.items()]
TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n")
