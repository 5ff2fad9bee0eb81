"""How far a bf16 step of ResNet-18 is from the f32 step in PyTorch: the tolerance of trainer/src/backend/tests/onednn.rs.

Prints, for three seeds, the length of the difference of the outputs and of all gradients, as a part of the length.
"""

import torch
import torchvision

torch.set_num_threads(1)


def step(network, images, gradient, autocast):
    network.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        output = network(images)
    output.float().backward(gradient)
    gradients = torch.cat([parameter.grad.flatten() for parameter in network.parameters()])
    return output.float().detach().flatten(), gradients


def distance(found, expected):
    return ((found - expected).norm() / expected.norm()).item()


for seed in range(3):
    torch.manual_seed(seed)
    network = torchvision.models.resnet18(num_classes=10).train().to(memory_format=torch.channels_last)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    images = (torch.rand(8, 3, 64, 64) * 4 - 2).to(memory_format=torch.channels_last)
    gradient = torch.full((8, 10), 0.1) - torch.eye(8, 10)
    single, brain = (step(network, images, gradient, autocast) for autocast in (False, True))
    print(seed, *(f"{distance(found, expected):.3f}" for found, expected in zip(brain, single)))
