"""What torchvision's networks answer with weights that the test makes too. For tests/tests/torchvision.rs.

    pip install torch torchvision numpy; python tests/reference/torchvision_logits.py

Writes tests/data/torchvision_logits.json. Images of 64 pixels make the VGGs pool their map of 2x2 up to 7x7, and the test
quick.
"""

import json
import math
import pathlib

import torch
import torchvision

from generated import generated

TARGET = pathlib.Path(__file__).parent.parent / "data" / "torchvision_logits.json"
NETWORKS = ["vgg11", "vgg13", "vgg16", "vgg19", "vgg11_bn", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]
CLASSES, SIDE, INPUT_SEED = 10, 64, 99


def bounds(name, shape):
    """Numbers that keep a network's signal alive: He's for products, statistics that are no identity for the rest."""
    if len(shape) > 1:
        limit = math.sqrt(6 / math.prod(shape[1:]))
        return -limit, limit
    if name.endswith(("weight", "running_var")):
        return 0.6, 1.4
    return -0.1, 0.1


def logits(name):
    network = torchvision.models.get_model(name, weights=None, num_classes=CLASSES).eval()
    state = {key: tensor for key, tensor in network.state_dict().items() if not key.endswith("num_batches_tracked")}
    for seed, key in enumerate(sorted(state)):
        shape = state[key].shape
        numbers = generated(math.prod(shape), *bounds(key, shape), seed)
        state[key].copy_(torch.from_numpy(numbers).reshape(shape))
    image = torch.from_numpy(generated(3 * SIDE * SIDE, -2, 2, INPUT_SEED)).reshape(1, 3, SIDE, SIDE)
    with torch.no_grad():
        return [float(f"{number:.7g}") for number in network(image)[0].tolist()]


TARGET.write_text(json.dumps({name: logits(name) for name in NETWORKS}, separators=(",", ":")) + "\n")
