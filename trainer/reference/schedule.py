"""PyTorch's learning rates, for the tests in trainer/src/schedule.

pip install torch; python trainer/reference/schedule.py
"""

import json
import pathlib
import warnings

import torch
from torch.optim import lr_scheduler as lr

warnings.simplefilter("ignore")
TARGET = pathlib.Path(__file__).parent.parent / "tests" / "data" / "schedule.json"
KEPT = [0, 1, 2, 7, 9, 10, 11, 24, 29, 30, 31, 50, 77, 98, 99]


def sgd(rate):
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate)


def rates(schedule, make, rate=0.1, steps=100):
    optimiser = sgd(rate)
    scheduler = make(optimiser)
    found = []
    for _ in range(steps):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return {"schedule": schedule, "rates": [found[step] for step in KEPT]}


def warm_up(optimiser, behind, start, steps):
    ramp = lr.LinearLR(optimiser, start_factor=start, total_iters=steps)
    return lr.SequentialLR(optimiser, [ramp, behind], [steps])


def plateau(metrics, rate=0.1, **options):
    optimiser = sgd(rate)
    scheduler = lr.ReduceLROnPlateau(optimiser, **options)
    found = []
    for metric in metrics:
        scheduler.step(metric)
        found.append(optimiser.param_groups[0]["lr"])
    return {"metrics": metrics, "rates": found}


cosine = {"kind": "cosine", "rate": 0.1, "end": 0.001, "steps": 90}
cases = {
    "kept": KEPT,
    "pure": [
        rates({"kind": "constant", "rate": 0.1}, lambda o: lr.ConstantLR(o, factor=1.0)),
        rates({"kind": "step", "rate": 0.1, "milestones": [30, 77]}, lambda o: lr.MultiStepLR(o, [30, 77])),
        rates({"kind": "staircase", "rate": 0.1, "factor": 0.3, "every": 10}, lambda o: lr.StepLR(o, 10, 0.3)),
        rates({"kind": "exponential", "rate": 0.1, "factor": 0.97, "every": 1}, lambda o: lr.ExponentialLR(o, 0.97)),
        rates({"kind": "cosine", "rate": 0.1, "steps": 99}, lambda o: lr.CosineAnnealingLR(o, 99)),
        rates({"kind": "polynomial", "rate": 0.1, "steps": 50, "power": 2.0}, lambda o: lr.PolynomialLR(o, 50, 2.0)),
    ],
}


def one_cycle(schedule, **options):
    """Its own last step is the last that PyTorch gives."""
    optimiser = sgd(0.1)
    scheduler = lr.OneCycleLR(optimiser, 0.1, total_steps=100, **options)
    found = []
    for step in range(100):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        if step < 99:
            scheduler.step()
    return {"schedule": schedule, "rates": [found[step] for step in KEPT]}


cases["pure"] += [
    one_cycle({"kind": "one-cycle", "rate": 0.1, "steps": 100}),
    one_cycle(
        {"kind": "one-cycle", "rate": 0.1, "steps": 100, "rise": 0.123, "start_divisor": 10.0, "end_divisor": 100.0},
        pct_start=0.123,
        div_factor=10.0,
        final_div_factor=100.0,
    ),
    rates(
        {"kind": "warm-up", "steps": 10, "ramp": {"from": 0.01}, "then": cosine},
        lambda o: warm_up(o, lr.CosineAnnealingLR(o, 90, eta_min=0.001), 0.1, 10),
    ),
    rates(
        {
            "kind": "warm-up",
            "steps": 11,
            "ramp": {"from": 0.025},
            "then": {"kind": "step", "rate": 0.1, "milestones": [20, 66]},
        },
        lambda o: warm_up(o, lr.MultiStepLR(o, [20, 66]), 0.25, 11),
    ),
]
losses = [1.0, 0.9, 0.9, 0.89999, 0.95, 0.91, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.81, 0.82, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7]
cases["plateau"] = [
    {
        "options": {"better": "lower", "rate": 0.1, "patience": 2, "cooldown": 1},
        **plateau(losses, patience=2, cooldown=1),
    },
    {
        "options": {"better": "higher", "rate": 0.1, "factor": 0.5, "patience": 1, "threshold": 0.01, "min_rate": 0.03},
        **plateau(losses, mode="max", factor=0.5, patience=1, threshold=0.01, min_lr=0.03),
    },
]


def lines(entries):
    return "[\n" + ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in entries) + "\n]"


kept = json.dumps(cases["kept"])
TARGET.write_text(f'{{"kept":{kept},\n"pure":{lines(cases["pure"])},\n"plateau":{lines(cases["plateau"])}}}\n')
