"""What PyTorch computes for single operators, for the test in trainer/tests/operators.rs.

Each case is an operator as graft stores it, its inputs and parameters, and PyTorch's output; numbers are multiples of
1/64 so that the file is short and exact.

pip install torch; python trainer/reference/operators.py
"""

import json
import pathlib

import torch
import torch.nn.functional as F

TARGET = pathlib.Path(__file__).parent.parent / "tests" / "data" / "operators.json"
generator = torch.Generator().manual_seed(0)


def numbers(*shape, low=-2.0, high=2.0):
    uniform = torch.rand(shape, generator=generator) * (high - low) + low
    return (uniform * 64).round() / 64


def entry(name, op, inputs, params, output):
    return {
        "name": name,
        "op": op,
        "inputs": [{"shape": list(t.shape), "data": t.flatten().tolist()} for t in inputs],
        "params": [{"shape": list(t.shape), "data": t.flatten().tolist()} for t in params],
        "output": {"shape": list(output.shape), "data": output.flatten().tolist()},
    }


def sides(top, left, bottom, right):
    return {"top": top, "left": left, "bottom": bottom, "right": right}


def conv(name, channels, out, kernel, size, stride=(1, 1), pad=(0, 0, 0, 0), dilation=(1, 1), groups=1, bias=True):
    x = numbers(2, channels, *size)
    weight = numbers(out, channels // groups, *kernel)
    params = [weight] + ([numbers(out)] if bias else [])
    top, left, bottom, right = pad
    y = F.conv2d(
        F.pad(x, (left, right, top, bottom)), weight, params[1] if bias else None, stride, 0, dilation, groups
    )
    op = {
        "in_channels": channels,
        "out_channels": out,
        "kernel": list(kernel),
        "stride": list(stride),
        "padding": sides(*pad),
        "dilation": list(dilation),
        "groups": groups,
        "bias": bias,
    }
    return entry(name, {"Conv2d": op}, [x], params, y)


def window(kernel, stride, pad, ceil=False):
    return {"kernel": list(kernel), "stride": list(stride), "padding": sides(*pad), "ceil": ceil}


def max_pool(name, size, kernel, stride, pad=0, ceil=False):
    x = numbers(2, 3, *size)
    y = F.max_pool2d(x, kernel, stride, pad, ceil_mode=ceil)
    return entry(name, {"MaxPool": window(kernel, stride, (pad,) * 4, ceil)}, [x], [], y)


def avg_pool(name, size, kernel, stride, pad=0, ceil=False, count=True):
    x = numbers(2, 3, *size)
    y = F.avg_pool2d(x, kernel, stride, pad, ceil_mode=ceil, count_include_pad=count)
    op = {"window": window(kernel, stride, (pad,) * 4, ceil), "count_padding": count}
    return entry(name, {"AvgPool": op}, [x], [], y)


def batch_norm():
    x, weight, bias, mean = numbers(2, 5, 4, 3), numbers(5), numbers(5), numbers(5)
    variance = numbers(5, low=0.1, high=3.0)
    y = F.batch_norm(x, mean, variance, weight, bias, training=False, eps=1e-3)
    return entry("batch norm", {"BatchNorm": {"channels": 5, "eps": 1e-3, "momentum": 0.1}}, [x], [weight, bias, mean, variance], y)


def linear(bias):
    x, weight = numbers(3, 7), numbers(4, 7)
    params = [weight] + ([numbers(4)] if bias else [])
    op = {"in_features": 7, "out_features": 4, "bias": bias}
    return entry(f"linear, bias {bias}", {"Linear": op}, [x], params, F.linear(x, *params))


def plain(name, op, function, *inputs):
    return entry(name, op, list(inputs), [], function(*inputs))


image = numbers(2, 3, 5, 4)
mean, std = numbers(3), numbers(3, low=0.5, high=2.0)
cases = [
    conv("3x3", 3, 4, (3, 3), (6, 6), pad=(1, 1, 1, 1)),
    conv("1x1", 5, 3, (1, 1), (4, 3)),
    conv("1x1, stride 2, odd", 3, 4, (1, 1), (5, 7), stride=(2, 2), bias=False),
    conv("7x7, stride 2, odd height", 3, 2, (7, 7), (9, 8), stride=(2, 2), pad=(3, 3, 3, 3), bias=False),
    conv("TensorFlow's SAME on an even size", 2, 3, (3, 3), (6, 6), stride=(2, 2), pad=(0, 0, 1, 1)),
    conv("every side padded differently", 2, 2, (3, 2), (5, 4), pad=(0, 1, 2, 3)),
    conv("dilated", 2, 3, (3, 3), (7, 7), pad=(2, 2, 2, 2), dilation=(2, 2)),
    conv("two groups", 4, 6, (3, 3), (5, 5), pad=(1, 1, 1, 1), groups=2),
    conv("depthwise, stride 2", 4, 4, (3, 3), (6, 5), stride=(2, 2), pad=(1, 1, 1, 1), groups=4),
    conv("oblong window and stride", 2, 2, (1, 3), (4, 8), stride=(1, 2), pad=(0, 1, 0, 1)),
    conv("window as large as the image", 2, 3, (4, 5), (4, 5)),
    max_pool("max 2x2", (6, 4), (2, 2), (2, 2)),
    max_pool("max 2x2 with a remainder", (7, 5), (2, 2), (2, 2)),
    max_pool("max 3x3, stride 2, padded", (8, 7), (3, 3), (2, 2), pad=1),
    max_pool("max 3x3, stride 2, ceil", (6, 8), (3, 3), (2, 2), ceil=True),
    max_pool("max, ceil, a window that would begin in the padding", (4, 4), (2, 2), (3, 3), pad=1, ceil=True),
    avg_pool("mean 2x2", (6, 4), (2, 2), (2, 2)),
    avg_pool("mean 3x3 padded, padding counts", (5, 6), (3, 3), (2, 2), pad=1),
    avg_pool("mean 3x3 padded, padding does not count", (5, 6), (3, 3), (2, 2), pad=1, count=False),
    avg_pool("mean 3x3, ceil, padding counts", (6, 6), (3, 3), (2, 2), pad=1, ceil=True),
    batch_norm(),
    linear(True),
    linear(False),
    plain("relu", {"Relu": None}, F.relu, image),
    plain("softmax", {"Softmax": None}, lambda x: F.softmax(x, 1), numbers(3, 5, low=-9.0, high=9.0)),
    plain("global mean", {"GlobalAvgPool": None}, lambda x: x.mean((2, 3), keepdim=True), image),
    plain("flatten", {"Flatten": None}, lambda x: x.flatten(1), image),
    plain("add", {"Add": None}, lambda *x: sum(x), image, numbers(2, 3, 5, 4), numbers(2, 3, 5, 4)),
    plain("concat", {"Concat": None}, lambda *x: torch.cat(x, 1), image, numbers(2, 1, 5, 4)),
    plain(
        "normalize",
        {"Normalize": {"mean": mean.tolist(), "std": std.tolist()}},
        lambda x: (x - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1),
        image,
    ),
]
TARGET.parent.mkdir(parents=True, exist_ok=True)
TARGET.write_text("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]\n")
