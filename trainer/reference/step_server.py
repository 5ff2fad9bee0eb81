"""Does training steps for trainer/benches/step.rs: reads the name of a row and a precision, answers with the CPU seconds of a step.

A step is forward, backward and SGD with momentum, on one thread, on random images that stay the same.
"""

import resource
import sys
import time

import torch
import torch.nn as nn
import torchvision

torch.set_num_threads(1)


class Block(nn.Module):
    """He et al. 2015, section 4.2: two 3x3 convolutions, the shortcut subsampled and padded with zeros."""

    def __init__(self, channels_in, channels, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride, self.pad = stride, (channels - channels_in) // 2

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu_(self.bn1(self.conv1(x)))))
        if self.stride > 1:
            x = nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad))
        return torch.relu_(y + x)


def cifar_resnet(depth):
    n = (depth - 2) // 6
    layers = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)]
    channels = 16
    for width in (16, 32, 64):
        for block in range(n):
            layers.append(Block(channels, width, 2 if width > 16 and block == 0 else 1))
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


ROWS = {
    "vgg16": (lambda: torchvision.models.vgg16(), 224, 8),
    "resnet18": (lambda: torchvision.models.resnet18(), 224, 16),
    "resnet50": (lambda: torchvision.models.resnet50(), 224, 8),
    "resnet32_cifar": (lambda: cifar_resnet(32), 32, 128),
}


class Trainer:
    def __init__(self, row, precision, batch):
        build, size, usual = ROWS[row]
        batch = batch or usual
        self.autocast = precision == "bf16"
        layout = torch.channels_last if self.autocast else torch.contiguous_format
        self.network = build().train().to(memory_format=layout)
        self.images = torch.randn(batch, 3, size, size).to(memory_format=layout)
        self.labels = torch.arange(batch) % 10
        self.optimiser = torch.optim.SGD(self.network.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)

    def step(self):
        start = time.process_time()
        self.optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
            loss = nn.functional.cross_entropy(self.network(self.images), self.labels)
        loss.backward()
        self.optimiser.step()
        return time.process_time() - start


def main():
    trainers = {}
    for line in sys.stdin:
        row, precision, batch = line.split()
        key = (row, precision)
        if key not in trainers:
            trainers.clear()
            trainers[key] = Trainer(row, precision, int(batch))
            trainers[key].step()
        seconds = trainers[key].step()
        print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)


if __name__ == "__main__":
    main()
