"""The state dicts of torchvision's networks: every key with its shape, for the test in models/tests/networks.rs.

pip install torch torchvision; python models/reference/state_dicts.py
"""

import json
import pathlib

import torchvision

NETWORKS = ["vgg16", "vgg19", "resnet18", "resnet50"]
TARGET = pathlib.Path(__file__).parent.parent / "tests" / "data" / "state_dicts.json"

dicts = {}
for name in NETWORKS:
    network = torchvision.models.get_model(name, weights=None)
    dicts[name] = {
        key: list(tensor.shape)
        for key, tensor in network.state_dict().items()
        # A counter of training steps, no weight.
        if not key.endswith("num_batches_tracked")
    }
TARGET.write_text(json.dumps(dicts, separators=(",", ":")) + "\n")
