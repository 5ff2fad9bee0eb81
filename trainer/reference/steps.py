"""Training steps of whole networks in PyTorch: gradients, running statistics and a loss curve.

    python trainer/reference/steps.py > trainer/tests/data/steps.json

Weights and images are not stored. Both sides draw them from the same generator: SplitMix64 (Steele, Lea and Flood 2014),
seeded with the FNV-1a hash of the tensor's name, the upper 24 bits of each number as a fraction. Of each tensor a few numbers
are stored, far apart, with the largest.
"""

import json
import math

import numpy as np
import torch
import torchvision

CLASSES = 10
SAMPLES = 23
STEPS = 10


def uniform(name, count):
    """Numbers from -1 to 1, exact in f32."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / 2**23 - 1


def tensor(name, shape):
    """He's uniform initialisation for what has a fan-in; scales and variances from 0.5 to 1.5, everything else up to 0.1."""
    numbers = uniform(name, math.prod(shape))
    if len(shape) > 1:
        numbers *= math.sqrt(6 / math.prod(shape[1:]))
    elif name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
        numbers = 1 + numbers / 2
    else:
        numbers /= 10
    return torch.from_numpy(numbers.astype(np.float32).reshape(shape))


def samples(x):
    """A few numbers and the largest."""
    flat = x.detach().flatten()
    stride = max(1, len(flat) // SAMPLES)
    return {"stride": stride, "numbers": flat[::stride].tolist(), "largest": flat.abs().max().item()}


def case(name, network, size, batch, learning_rate):
    network.train()
    state = {key: tensor(key, value.shape) for key, value in network.state_dict().items() if value.dim() > 0}
    network.load_state_dict(state, strict=False)
    # Without dropout, whose masks are each framework's own.
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    labels = torch.tensor([(7 * i + 3) % CLASSES for i in range(batch)])
    optimiser = torch.optim.SGD(network.parameters(), lr=learning_rate, momentum=0.9)
    result = {"name": name, "size": size, "batch": batch, "learning_rate": learning_rate, "losses": []}
    for step in range(STEPS):
        images = tensor(f"images{step}", (batch, 3, size, size)) * math.sqrt(3 * size * size / 2)
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        if step == 0:
            result["gradients"] = {key: samples(value.grad) for key, value in network.named_parameters()}
            statistics = {key: value for key, value in network.named_buffers() if value.dim() > 0}
            result["statistics"] = {key: samples(value) for key, value in statistics.items()}
        optimiser.step()
        result["losses"].append(loss.item())
    return result


def main():
    torch.set_num_threads(1)
    cases = [
        case("resnet18", torchvision.models.resnet18(num_classes=CLASSES), 64, 4, 0.001),
        case("vgg11", torchvision.models.vgg11(num_classes=CLASSES), 32, 4, 0.0002),
    ]
    print(json.dumps(cases))


main()
