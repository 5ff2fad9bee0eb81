"""Keras's files of weights in all its layouts, for the tests of models/src/weights.

    pip install tensorflow-cpu keras h5py
    python models/reference/weights_keras.py

Writes into models/tests/data/weights/: a VGG of two convolutions and three linear layers in every layout of file;
keras_expected.json (what is in them, as they hold it and as PyTorch would); and keras_names.json (names and shapes of
keras.applications' VGGs). Deterministic: the same versions write the same bytes, for which the date that Keras notes in
a `.keras` archive is removed.

That the tensors in PyTorch's layout are right is checked here: convolutions, pooling and linear layers written out in
NumPy, channels first, give what Keras predicts.
"""

import json
import os
import zipfile
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import h5py
import keras
import numpy as np
from keras import layers

OUT = Path(__file__).resolve().parent.parent / "tests" / "data" / "weights"
EXPECTED = {}

# torchvision's names of the small network's layers.
MODULES = {
    "block1_conv1": "features.0",
    "block2_conv1": "features.3",
    "fc1": "classifier.0",
    "fc2": "classifier.3",
    "predictions": "classifier.6",
}
# What the first linear layer's input is flattened from: channels, height, width.
FEATURES = (5, 2, 1)


def small():
    """VGG's kinds of layers, with numbers that differ from each other and are small multiples of 1/64."""
    image = layers.Input((9, 6, 3), name="input")
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="block1_conv1")(image)
    x = layers.MaxPooling2D(2, name="block1_pool")(x)
    x = layers.Conv2D(5, 3, padding="same", activation="relu", name="block2_conv1")(x)
    x = layers.MaxPooling2D(2, name="block2_pool")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(6, activation="relu", name="fc1")(x)
    x = layers.Dropout(0.5, name="dropout")(x)
    x = layers.Dense(5, activation="relu", name="fc2")(x)
    x = layers.Dense(3, name="predictions")(x)
    model = keras.Model(image, x, name="small")
    for number, variable in enumerate(model.trainable_weights):
        count = int(np.prod(variable.shape))
        values = (np.arange(count) * 37 + number * 11) % 61 - 30
        variable.assign((values / 64).reshape(variable.shape).astype(np.float32))
    return model


def by_name(model):
    return {weight.path: weight.numpy() for weight in model.weights if "seed" not in weight.path}


def as_torch(tensors):
    """Torchvision's names and PyTorch's layout."""
    c, h, w = FEATURES
    converted = {}
    for name, tensor in tensors.items():
        layer, variable = name.split("/")
        if variable == "bias":
            converted[f"{MODULES[layer]}.bias"] = tensor
        elif tensor.ndim == 4:
            converted[f"{MODULES[layer]}.weight"] = tensor.transpose(3, 2, 0, 1)
        elif layer == "fc1":
            converted[f"{MODULES[layer]}.weight"] = tensor.reshape(h, w, c, -1).transpose(3, 2, 0, 1).reshape(-1, c * h * w)
        else:
            converted[f"{MODULES[layer]}.weight"] = tensor.T
    return converted


def forward(image, torch):
    """The network on an image [3, h, w], channels first."""

    def conv(x, name):
        weight, (channels, height, width) = torch[f"{name}.weight"], x.shape
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
        windows = np.stack([padded[:, y : y + height, x : x + width] for y in range(3) for x in range(3)], 1)
        y = np.einsum("ocn,cnhw->ohw", weight.reshape(len(weight), channels, 9), windows)
        return np.maximum(y + torch[f"{name}.bias"][:, None, None], 0)

    def pool(x):
        channels, height, width = x.shape
        x = x[:, : height // 2 * 2, : width // 2 * 2]
        return x.reshape(channels, height // 2, 2, width // 2, 2).max((2, 4))

    x = pool(conv(pool(conv(image, "features.0")), "features.3"))
    assert x.shape == FEATURES
    x = x.flatten()
    for name in ("classifier.0", "classifier.3"):
        x = np.maximum(torch[f"{name}.weight"] @ x + torch[f"{name}.bias"], 0)
    return torch["classifier.6.weight"] @ x + torch["classifier.6.bias"]


def plain(tensors):
    return {name: {"shape": list(tensor.shape), "values": tensor.flatten().tolist()} for name, tensor in tensors.items()}


def published(name, tensors):
    """As keras.applications publishes its weights."""
    with h5py.File(OUT / name, "w") as file:
        names = list(dict.fromkeys(name.split("/")[0] for name in tensors))
        file.attrs["layer_names"] = [name.encode() for name in names]
        for layer in names:
            variables = {f"{layer}_W_1:0": "kernel", f"{layer}_b_1:0": "bias"}
            group = file.create_group(layer)
            group.attrs["weight_names"] = [variable.encode() for variable in variables]
            for variable, kind in variables.items():
                group[variable] = tensors[f"{layer}/{kind}"]


def packed(name, tensors):
    """64-bit numbers, in chunks, compressed, in HDF5's newer structures (which would note the time by themselves)."""
    access, creation, group = map(h5py.h5p.create, (h5py.h5p.FILE_ACCESS, h5py.h5p.FILE_CREATE, h5py.h5p.GROUP_CREATE))
    access.set_libver_bounds(h5py.h5f.LIBVER_LATEST, h5py.h5f.LIBVER_LATEST)
    creation.set_obj_track_times(False)
    group.set_obj_track_times(False)
    with h5py.File(h5py.h5f.create(str(OUT / name).encode(), fcpl=creation, fapl=access)) as file:
        for key, tensor in tensors.items():
            layer, variable = key.split("/")
            if layer not in file:
                outer = h5py.h5g.create(file.id, layer.encode(), gcpl=group)
                h5py.h5g.create(outer, layer.encode(), gcpl=group)
            options = {"compression": "gzip", "shuffle": True, "chunks": tuple(max(1, dim // 2) for dim in tensor.shape)}
            file.create_dataset(f"{layer}/{layer}/{variable}:0", data=tensor.astype(np.float64), **options)


def archive(name, model):
    model.save(OUT / name)
    with zipfile.ZipFile(OUT / name) as file:
        members = {member.filename: file.read(member) for member in file.infolist()}
    # They have a date and addresses in memory in them, and are not read.
    members["metadata.json"] = members["config.json"] = b"{}"
    with zipfile.ZipFile(OUT / name, "w") as file:
        for member, content in members.items():
            file.writestr(zipfile.ZipInfo(member), content, zipfile.ZIP_DEFLATED)


def files():
    model = small()
    tensors = by_name(model)
    torch = as_torch(tensors)
    image = np.random.default_rng(1).normal(size=(9, 6, 3)).astype(np.float32)
    predicted = model.predict(image[None], verbose=0)[0]
    # f32 sums in another order; a wrong layout is off by far more.
    assert np.allclose(forward(image.transpose(2, 0, 1), torch), predicted, atol=1e-5)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9))
    model.optimizer.build(model.trainable_variables)

    published("keras_published.h5", tensors)
    published("keras_notop.h5", {name: tensor for name, tensor in tensors.items() if name.startswith("block")})
    packed("keras_packed.h5", tensors)
    model.save(OUT / "keras_model.h5")
    archive("keras.keras", model)
    expected = {"file": plain(tensors), "torch": plain(torch)}
    (OUT / "keras_expected.json").write_text(json.dumps(expected, separators=(",", ":")) + "\n")


def names():
    tables = {}
    for name, network, options in [
        ("vgg16", keras.applications.VGG16, {}),
        ("vgg19", keras.applications.VGG19, {}),
        ("vgg16 notop", keras.applications.VGG16, {"include_top": False, "input_shape": (224, 224, 3)}),
    ]:
        model = network(weights=None, **options)
        tables[name] = {weight.path: list(weight.shape) for weight in model.weights}
    (OUT / "keras_names.json").write_text(json.dumps(tables, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    files()
    names()
