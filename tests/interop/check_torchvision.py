"""Whether graft computes with a file of torchvision's weights what torchvision computes with it.

    pip install torch torchvision safetensors pillow
    python tests/interop/check_torchvision.py GRAFT [NETWORK...]

For each VGG and ResNet: random weights, batch-norm statistics that are not trivial, written by PyTorch or safetensors to one
file, in turn as safetensors, zip and the legacy pickle, once with the prefix and nesting of a training checkpoint. graft
imports the file (`--arch`), classifies a picture with every engine, and the logits must be torchvision's. It takes some three
minutes and six gigabytes of disk, so `.ci/run` leaves it out; tests/tests/torchvision.rs compares the same networks without
files.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file
from torchvision.transforms.functional import to_tensor

NETWORKS = ["vgg11", "vgg13_bn", "vgg16", "vgg19", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]
ENGINES = ("ort", "tract")
TOLERANCE = 1e-4
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def scramble(network: torch.nn.Module) -> None:
    """Statistics and biases that nobody may forget, and sums that stay in bounds in 152 layers."""
    generator = torch.Generator().manual_seed(5)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.6, 1.4, generator=generator)
        elif name.endswith(("bias", "running_mean")):
            tensor.uniform_(-0.1, 0.1, generator=generator)
        elif tensor.dim() == 1 and tensor.dtype == torch.float32:
            tensor.uniform_(0.2, 0.6, generator=generator)


def save(state: dict, folder: Path, turn: int) -> Path:
    if turn % 4 == 0:
        save_file(state, folder / "weights.safetensors")
        return folder / "weights.safetensors"
    path = folder / "weights.pth"
    if turn % 4 == 3:
        state = {"epoch": 3, "state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}
    torch.save(state, path, _use_new_zipfile_serialization=turn % 4 == 1)
    return path


def picture(path: Path) -> torch.Tensor:
    """A picture whose preparation is a crop alone, and the network's input."""
    pixels = np.random.default_rng(1).integers(0, 256, size=(256, 256, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    image = to_tensor(Image.open(path))[:, 16:240, 16:240]
    return torchvision.transforms.functional.normalize(image, MEAN, STD)[None]


def grafted(command: list[str], image: Path, classes: int) -> np.ndarray:
    """Logarithms of the probabilities: the logits but for a constant."""
    command = [*command, "--top-k", str(classes), "--format", "json", str(image)]
    scores = np.zeros(classes)
    for prediction in json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)["predictions"]:
        scores[prediction["class"]] = prediction["score"]
    return np.log(scores)


def check(graft: str, name: str, turn: int, folder: Path) -> bool:
    torch.manual_seed(turn)
    network = torchvision.models.get_model(name, weights=None).eval()
    scramble(network)
    file = save(network.state_dict(), folder, turn)
    image = folder / "picture.png"
    with torch.no_grad():
        expected = network(picture(image))[0].double().numpy()
    data = ["--data-dir", str(folder / "data")]
    subprocess.run([graft, "import", str(file), "--name", "net", "--arch", name, *data], check=True, stdout=subprocess.DEVNULL)
    good = True
    for engine in ENGINES:
        found = grafted([graft, "classify", "--model", "net", "--engine", engine, *data], image, len(expected))
        difference = np.abs((found - found.mean()) - (expected - expected.mean())).max() / np.abs(expected).max()
        good = good and bool(difference <= TOLERANCE)
        print(f"{name} from {file.name} on {engine}: {difference:.1e} of the largest logit, {TOLERANCE:.0e} is allowed", flush=True)
    return good


def main() -> int:
    graft, *names = sys.argv[1:]
    good = True
    for turn, name in enumerate(names or NETWORKS):
        with tempfile.TemporaryDirectory(prefix="graft-torchvision-") as folder:
            good = check(graft, name, turn, Path(folder)) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
