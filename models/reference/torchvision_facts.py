"""What torchvision says of its networks: every key of the state dict with its shape, the number of parameters, the
multiply-accumulates (billions, two decimals), and each published file of weights with how its images are prepared. For
models/tests/networks.rs.

pip install torch torchvision; python models/reference/torchvision_facts.py
"""

import json
import pathlib

import torchvision

DEPTHS = [11, 13, 16, 19]
NETWORKS = [f"vgg{depth}{norm}" for depth in DEPTHS for norm in ("", "_bn")]
NETWORKS += [f"resnet{depth}" for depth in (18, 34, 50, 101, 152)]
TARGET = pathlib.Path(__file__).parent.parent / "tests" / "data" / "torchvision.json"


def published_facts(weights):
    transforms = weights.transforms()
    return {
        "weights": weights.name,
        # vgg16-397923af.pth
        "sha256": weights.url.rsplit("-", 1)[1].removesuffix(".pth"),
        "resize": transforms.resize_size[0],
        "crop": transforms.crop_size[0],
        "filter": transforms.interpolation.value,
        "mean": transforms.mean,
        "std": transforms.std,
    }


def facts(name):
    network = torchvision.models.get_model(name, weights=None)
    meta = torchvision.models.get_model_weights(name).IMAGENET1K_V1.meta
    state_dict = {
        key: list(tensor.shape)
        for key, tensor in network.state_dict().items()
        # A counter of training steps, no weight.
        if not key.endswith("num_batches_tracked")
    }
    published = [published_facts(weights) for weights in torchvision.models.get_model_weights(name)]
    return {"published": published, "parameters": meta["num_params"], "gmacs": round(meta["_ops"], 2), "state_dict": state_dict}


TARGET.write_text(json.dumps({name: facts(name) for name in NETWORKS}, separators=(",", ":")) + "\n")
