"""The usual loop that cached features stand against: a frozen backbone, recomputed for every image in every epoch, under a new linear head.

    python frozen_backbone.py BACKBONE.onnx FOLDER EPOCHS

BACKBONE is an ONNX file of convolutions, batch normalisations, ReLUs, sums and pooling, whose nodes become torch modules. FOLDER has
`train` and `test` with a folder for each class. Prints after each epoch the test accuracy, the CPU seconds of training so far, and
those of measuring the accuracy, which a user may do less often.
"""

import pathlib
import resource
import sys

import onnx
import torch
import torch.nn as nn
from onnx import numpy_helper
from PIL import Image
from torchvision import transforms

# The features are small, 0.01 on average, so the rate is large. Of 1e-3 to 3, those from 0.1 to 1 learn most in ten epochs.
BATCH, RATE = 32, 0.1
PREPARE = transforms.Compose(
    [
        transforms.Resize(256),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ]
)


def module(node, weights):
    """The torch module of a node, with its weights."""
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    tensors = [weights[name] for name in node.input if name in weights]
    if node.op_type == "Conv":
        out, per_group, height, width = tensors[0].shape
        groups = attributes.get("group", 1)
        pads, strides = attributes.get("pads", [0] * 4), attributes.get("strides", [1, 1])
        conv = nn.Conv2d(per_group * groups, out, (height, width), strides, pads[:2], groups=groups, bias=len(tensors) > 1)
        conv.weight.data.copy_(tensors[0])
        if len(tensors) > 1:
            conv.bias.data.copy_(tensors[1])
        return conv
    if node.op_type == "BatchNormalization":
        norm = nn.BatchNorm2d(len(tensors[0]), eps=attributes["epsilon"])
        for place, tensor in zip([norm.weight, norm.bias, norm.running_mean, norm.running_var], tensors):
            place.data.copy_(tensor)
        return norm
    if node.op_type == "MaxPool":
        return nn.MaxPool2d(attributes["kernel_shape"], attributes["strides"], attributes["pads"][:2])
    return {"Relu": nn.ReLU(), "GlobalAveragePool": nn.AdaptiveAvgPool2d(1), "Flatten": nn.Flatten()}[node.op_type]


class Backbone(nn.Module):
    def __init__(self, path):
        super().__init__()
        graph = onnx.load(path).graph
        weights = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer}
        self.nodes = [(n.op_type, [i for i in n.input if i not in weights], n.output[0]) for n in graph.node]
        self.layers = nn.ModuleList(nn.Identity() if n.op_type == "Add" else module(n, weights) for n in graph.node)
        self.entry = next(i.name for i in graph.input if i.name not in weights)
        self.exit = graph.output[0].name

    def forward(self, x):
        values = {self.entry: x}
        for (kind, inputs, output), layer in zip(self.nodes, self.layers):
            found = [values[name] for name in inputs]
            values[output] = found[0] + found[1] if kind == "Add" else layer(found[0])
        return values[self.exit]


class Photographs(torch.utils.data.Dataset):
    def __init__(self, folder):
        names = sorted(path.name for path in folder.iterdir())
        self.files = [(path, label) for label, name in enumerate(names) for path in sorted((folder / name).iterdir())]

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        path, label = self.files[index]
        return PREPARE(Image.open(path).convert("RGB")), label


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main():
    folder, epochs = pathlib.Path(sys.argv[2]), int(sys.argv[3])
    torch.manual_seed(0)
    backbone = Backbone(sys.argv[1]).eval().requires_grad_(False).to(memory_format=torch.channels_last)
    train, test = Photographs(folder / "train"), Photographs(folder / "test")
    head = nn.Linear(1024, 1 + max(label for _, label in train.files))
    optimiser = torch.optim.Adam(head.parameters(), lr=RATE)
    loss_of = nn.CrossEntropyLoss()
    measuring = 0.0
    for epoch in range(1, epochs + 1):
        for images, labels in torch.utils.data.DataLoader(train, BATCH, shuffle=True):
            with torch.no_grad():
                features = backbone(images.to(memory_format=torch.channels_last))
            loss = loss_of(head(features), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        before = cpu_seconds()
        with torch.no_grad():
            hits = 0
            for images, labels in torch.utils.data.DataLoader(test, BATCH):
                logits = head(backbone(images.to(memory_format=torch.channels_last)))
                hits += (logits.argmax(1) == labels).sum().item()
        measuring += cpu_seconds() - before
        training = cpu_seconds() - measuring
        print(f"epoch {epoch} test {hits / len(test):.4f} cpu {training:.0f} s and {measuring:.0f} s for the test", flush=True)


if __name__ == "__main__":
    main()
