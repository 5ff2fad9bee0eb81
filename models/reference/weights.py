"""Files of weights in every form that PyTorch and safetensors write, for the tests of models/src/weights.

    pip install numpy torch torchvision timm transformers safetensors
    python models/reference/weights.py

Writes into models/tests/data/weights/: small files, expected.json (what is in them, by file and name), and names.json
(names and shapes in timm and transformers). weights_keras.py makes those of Keras. Deterministic: the same versions
write the same bytes, for which the names that PyTorch takes from addresses in memory are replaced.

torch.load reads every file here that is meant to be read, and what it reads is what expected.json says.
"""

import argparse
import collections
import io
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import safetensors.torch
import timm
import torch
import torchvision
from transformers import ResNetConfig, ResNetForImageClassification, ResNetModel

OUT = Path(__file__).resolve().parent.parent / "tests" / "data" / "weights"
# What is in the files, by name; and which of it in which file.
EXPECTED = {"tensors": {}, "files": {}}


WHOLE = [
    "zip.pth",
    "protocol_4.pth",
    "protocol_5.pth",
    "legacy.pth",
    "legacy_4.pth",
    "deflated.pth",
    "zip64.pth",
    "other_folder.pth",
    "no_checksums.pth",
]


# Tensors


def numbers(*shape):
    """Numbers that differ from each other and are exact in bfloat16: small multiples of an eighth."""
    count = int(np.prod(shape))
    return ((torch.arange(count) * 37 % 61 - 30) / 8).reshape(shape)


def state():
    """A tensor of every kind that a state dict may hold."""
    base = numbers(4, 6)
    tensors = collections.OrderedDict()
    tensors["conv.weight"] = numbers(2, 3, 2, 2)
    tensors["half"] = numbers(3, 2).half()
    tensors["bfloat16"] = numbers(5).bfloat16()
    tensors["double"] = torch.tensor([0.1, -1e-40, 3.5e38, np.pi], dtype=torch.float64)
    tensors["special"] = torch.tensor([float("inf"), -0.0, 1e-45, 16777217.0])
    tensors["scalar"] = torch.tensor(2.5)
    tensors["empty"] = torch.zeros(3, 0, 2)
    tensors["whole"] = base
    tensors["transposed"] = base.t()
    tensors["slice"] = base[1:3, 2:5]
    tensors["strided"] = base[::2, ::3]
    tensors["expanded"] = base[:, :1].expand(4, 3)
    tensors["permuted"] = numbers(2, 3, 4).permute(2, 0, 1)
    tensors["shared"] = base
    tensors["parameter"] = torch.nn.Parameter(numbers(2, 2))
    tensors["bn.num_batches_tracked"] = torch.tensor(7)
    return tensors


def plain(tensor):
    values = tensor.detach().float().flatten().tolist()
    # JSON has no infinity.
    values = [value if np.isfinite(value) else repr(value) for value in values]
    return {"shape": list(tensor.shape), "values": values}


def expect(files, name, tensors):
    EXPECTED["tensors"][name] = {key: plain(value) for key, value in tensors.items() if value.dtype.is_floating_point}
    EXPECTED["files"].update({file: name for file in files})


def check(name, value):
    """What torch.load makes of a file is what was meant."""
    loaded = torch.load(OUT / name, weights_only=False)
    assert isinstance(loaded, dict) and list(loaded) == list(value), name
    for key, tensor in value.items():
        if isinstance(tensor, torch.Tensor):
            assert torch.equal(loaded[key], tensor) and loaded[key].dtype == tensor.dtype, (name, key)


def save(name, value, **options):
    torch.save(value, OUT / name, **options)


# The older format


def legacy(name, value, protocol=2):
    """torch.save in the older format, its storages called by numbers in the order of their first mention."""
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=False, pickle_protocol=protocol)
    buffer.seek(0)
    (magic, version, system), start = [pickle.load(buffer) for _ in range(3)], buffer.tell()
    kinds = {}
    sizes = {"FloatStorage": 4, "DoubleStorage": 8, "HalfStorage": 2, "BFloat16Storage": 2, "LongStorage": 8}

    class Reader(pickle.Unpickler):
        def persistent_load(self, identity):
            kinds.setdefault(identity[2], sizes[identity[1].__name__])
            return _Nothing()

        def find_class(self, module, attribute):
            return super().find_class(module, attribute) if module == "torch" else _Nothing

    Reader(buffer).load()
    body = buffer.getvalue()[start : buffer.tell()]
    storages = {}
    for key in pickle.load(buffer):
        (count,) = struct.unpack("<q", buffer.read(8))
        storages[key] = struct.pack("<q", count) + buffer.read(count * kinds[key])
    assert not buffer.read()
    renamed = {key: f"{number:0{len(key)}}" for number, key in enumerate(kinds)}
    for old, new in renamed.items():
        body = body.replace(old.encode(), new.encode())
    with open(OUT / name, "wb") as file:
        for head in (magic, version, system):
            pickle.dump(head, file, protocol)
        file.write(body)
        pickle.dump([renamed[key] for key in kinds], file, protocol)
        file.writelines(storages[key] for key in kinds)


class _Nothing(dict):
    """Stands for whatever a pickle calls."""

    def __init__(self, *_):
        super().__init__()

    def __setstate__(self, _):
        pass


class AncientPickler(pickle._Pickler):
    """Pickles as PyTorch 0.1 to 0.3 did under Python 2: text as byte strings, dictionaries from lists of pairs, parameters
    by their class, parts of storages as storages."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_text(self, text):
        data = text.encode()
        self.write(pickle.SHORT_BINSTRING + bytes([len(data)]) + data)
        self.memoize(text)

    dispatch[str] = save_text

    def reducer_override(self, value):
        if type(value) is collections.OrderedDict:
            return collections.OrderedDict, ([list(pair) for pair in value.items()],)
        if isinstance(value, torch.nn.Parameter):
            return torch.nn.parameter.Parameter, (value.data,), (True, False, collections.OrderedDict())
        if isinstance(value, torch.Tensor):
            storage = Part(value)
            return torch._utils._rebuild_tensor, (storage, 0, tuple(value.shape), value.stride())
        return NotImplemented

    def persistent_id(self, value):
        if isinstance(value, Part):
            tensor = value.tensor
            first, count = tensor.storage_offset(), tensor.untyped_storage().nbytes() // 4
            part = (f"part {first}", first, count - first) if first else None
            return "storage", torch.FloatStorage, "root", "cpu", count, part
        return None


class Part:
    """The storage of a tensor, as far as it is behind the tensor's first element."""

    def __init__(self, tensor):
        self.tensor = tensor


def ancient(name):
    base = numbers(3, 4)
    tensors = collections.OrderedDict()
    tensors["module.weight"] = torch.nn.Parameter(base)
    tensors["module.bias"] = base[1]
    with open(OUT / name, "wb") as file:
        for head in (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}):
            pickle.dump(head, file, 2)
        AncientPickler(file, 2).dump(tensors)
        pickle.dump(["root"], file, 2)
        file.write(struct.pack("<q", base.numel()) + base.numpy().tobytes())
    check(name, tensors)
    expect([name], "ancient", {key.removeprefix("module."): value for key, value in tensors.items()})


# The zip format


def rezip(name, source, change=lambda members: members, **options):
    """The members of an archive in another one, changed and packed as the options say."""
    with zipfile.ZipFile(OUT / source) as archive:
        members = change({member.filename: archive.read(member) for member in archive.infolist()})
    with zipfile.ZipFile(OUT / name, "w") as archive:
        for member, content in members.items():
            with archive.open(zipfile.ZipInfo(member), "w", **options) as file:
                file.write(content)


def deflated(name, source):
    with zipfile.ZipFile(OUT / source) as archive, zipfile.ZipFile(OUT / name, "w") as target:
        for member in archive.infolist():
            target.writestr(zipfile.ZipInfo(member.filename), archive.read(member), zipfile.ZIP_DEFLATED)


# What must not be read


class Command:
    """Runs a program when it is unpickled in Python."""

    def __reduce__(self):
        return os.system, ("touch executed-by-a-pickle",)


def files():
    tensors = state()
    save("zip.pth", tensors)
    save("protocol_4.pth", tensors, pickle_protocol=4)
    save("protocol_5.pth", tensors, pickle_protocol=5)
    legacy("legacy.pth", tensors)
    legacy("legacy_4.pth", tensors, protocol=4)
    deflated("deflated.pth", "zip.pth")
    rezip("zip64.pth", "zip.pth", force_zip64=True)
    rezip("other_folder.pth", "zip.pth", lambda all: {name.replace("zip/", "any name/"): all[name] for name in all})
    torch.serialization.set_crc32_options(False)
    save("no_checksums.pth", tensors)
    torch.serialization.set_crc32_options(True)
    for name in WHOLE:
        check(name, tensors)
    expect([*WHOLE, "all.safetensors"], "state", tensors)
    single = {key: value.contiguous().clone() for key, value in tensors.items()}
    safetensors.torch.save_file(single, OUT / "all.safetensors")
    ancient("ancient.pth")

    network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(numbers(*parameter.shape))
    inner = {f"module._orig_mod.{key}": value for key, value in network.state_dict().items()}
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    network(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    inner = {key: value.clone() for key, value in inner.items()}
    checkpoint = {
        "epoch": 3,
        "arch": "linear",
        "args": argparse.Namespace(lr=0.1),
        "best_acc1": torch.tensor(71.5),
        "best_loss": np.float64(0.25),
        "state_dict": inner,
        "optimizer": optimizer.state_dict(),
    }
    save("checkpoint.pth", checkpoint)
    nested = {"model": {"name": "linear", "layers": [2, 3]}, "net": {"state_dict": inner, "step": 10**30}}
    legacy("nested.pth", nested)
    unwrapped = {key.removeprefix("module._orig_mod."): value for key, value in inner.items()}
    expect(["checkpoint.pth", "nested.pth"], "checkpoint", unwrapped)
    # As programs write them that convert every tensor, the counter too; and as DeepSpeed files them.
    real = {key: value.float() for key, value in unwrapped.items()}
    save("deepspeed.pth", {"module": real, "dp_world_size": 1})
    safetensors.torch.save_file(real, OUT / "real.safetensors")
    expect(["deepspeed.pth", "real.safetensors"], "checkpoint", unwrapped)

    save("module.pth", torch.nn.Softmax())
    save("module_inside.pth", {"epoch": 1, "model": torch.nn.ReLU()})
    save("two.pth", {"net": {"a": numbers(1)}, "model": {"a": numbers(2)}})
    save("average.pth", {"model": {"a": numbers(1)}, "model_ema": {"a": numbers(2)}})
    save("without.pth", {"epoch": 3, "optimizer": optimizer.state_dict()})
    save("negative.pth", {"weight": torch.complex(numbers(3), numbers(3)).conj().imag})
    save("sparse.pth", {"bias": numbers(2), "weight": numbers(3).to_sparse()})
    save("integers.pth", {"weight": torch.arange(4, dtype=torch.int8)})
    save("expanded.pth", {"weight": torch.zeros(1).expand(1 << 20, 1 << 20)})
    save("command.pth", Command())
    save("command_inside.pth", {"weight": numbers(2), "bias": Command()})
    rezip("torchscript.pt", "integers.pth", lambda all: all | {"integers/constants.pkl": b"\x80\x02)."})
    rezip("big_endian.pth", "integers.pth", lambda all: all | {"integers/byteorder": b"big"})

    (OUT / "expected.json").write_text(json.dumps(EXPECTED, separators=(",", ":")) + "\n")


# Names


def shapes(network):
    tensors = network.state_dict().items()
    return {key: list(tensor.shape) for key, tensor in tensors if not key.endswith("num_batches_tracked")}


def names():
    with torch.device("meta"):
        widths, depths = [64, 128, 256, 512], [2, 2, 2, 2]
        basic = ResNetConfig(hidden_sizes=widths, depths=depths, layer_type="basic", num_labels=1000)
        tables = {
            "timm vgg11": timm.create_model("vgg11"),
            "timm vgg16_bn": timm.create_model("vgg16_bn"),
            "timm vgg11 without head": timm.create_model("vgg11", num_classes=0),
            "transformers resnet-18": ResNetForImageClassification(basic),
            "transformers resnet-50": ResNetForImageClassification(ResNetConfig(num_labels=1000)),
            "transformers resnet-18 without head": ResNetModel(basic),
        }
        # These have torchvision's names, and the table of torchvision_facts.py does for them.
        for name in ("resnet18", "resnet50"):
            assert shapes(timm.create_model(name)) == shapes(torchvision.models.get_model(name, weights=None)), name
    tables = {name: shapes(network) for name, network in tables.items()}
    (OUT / "names.json").write_text(json.dumps(tables, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    files()
    names()
