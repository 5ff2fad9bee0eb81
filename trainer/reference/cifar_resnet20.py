"""Trains ResNet-20 on a folder of CIFAR-10 images as graft's recipe `he2015-cifar10` does, for a comparison.

    python cifar_resnet20.py FOLDER EPOCHS SEED

FOLDER has `train` and `test` with a folder for each class. Prints the test accuracy after each epoch and the CPU seconds.
"""

import pathlib
import resource
import sys

import numpy
import torch
import torch.nn as nn
from PIL import Image

from step_server import cifar_resnet

BATCH, RATE, PADDING = 128, 0.1, 4
FILL = (125, 123, 114)


def images(folder):
    names = sorted(path.name for path in folder.iterdir())
    files = [(path, label) for label, name in enumerate(names) for path in sorted((folder / name).iterdir())]
    pixels = numpy.stack([numpy.asarray(Image.open(path).convert("RGB")) for path, _ in files])
    return pixels, torch.tensor([label for _, label in files])


def augmented(pixels, random):
    """Each image moved by up to four pixels, and half of them mirrored."""
    n, size = len(pixels), pixels.shape[1]
    padded = numpy.empty((n, size + 2 * PADDING, size + 2 * PADDING, 3), numpy.uint8)
    padded[:] = numpy.array(FILL, numpy.uint8)
    padded[:, PADDING:-PADDING, PADDING:-PADDING] = pixels
    out = numpy.empty_like(pixels)
    for at in range(n):
        y, x = random.integers(0, 2 * PADDING + 1, 2)
        image = padded[at, y : y + size, x : x + size]
        out[at] = image[:, ::-1] if random.random() < 0.5 else image
    return out


def main():
    folder, epochs, seed = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    random = numpy.random.default_rng(seed)
    train, labels = images(folder / "train")
    test, truths = images(folder / "test")
    mean = train.reshape(-1, 3).mean(0) / 255

    def prepared(pixels):
        values = pixels.astype(numpy.float32) / 255 - mean.astype(numpy.float32)
        return torch.from_numpy(values).permute(0, 3, 1, 2).contiguous()

    model = cifar_resnet(20)
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    optimiser = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9, weight_decay=1e-4)
    steps = epochs * -(-len(train) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    loss_of = nn.CrossEntropyLoss()
    start = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    for epoch in range(1, epochs + 1):
        model.train()
        order = torch.randperm(len(train))
        total = 0.0
        for begin in range(0, len(train), BATCH):
            chosen = order[begin : begin + BATCH].numpy()
            loss = loss_of(model(prepared(augmented(train[chosen], random))), labels[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item() * len(chosen)
        model.eval()
        with torch.no_grad():
            batches = range(0, len(test), 500)
            hits = sum((model(prepared(test[at : at + 500])).argmax(1) == truths[at : at + 500]).sum().item() for at in batches)
        seconds = resource.getrusage(resource.RUSAGE_SELF).ru_utime - start
        print(f"epoch {epoch} loss {total / len(train):.4f} test {hits / len(test):.4f} cpu {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
