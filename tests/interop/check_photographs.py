"""Whether graft sees real photographs as Python does.

    python tests/interop/check_photographs.py GRAFT DATA_DIR MODEL ORIGINAL.onnx PHOTOGRAPH...

Classifies each photograph with `graft classify` on every engine, and with the original file in Python's ONNX Runtime on
tensors prepared by PIL as torchvision's `ImageClassification` preset prepares them: shorter side 256, bilinear, centre
crop 224, ImageNet's mean and deviation. The best class must be the same, and the logits within a tolerance, relative to
the largest.

The files are JPEG, which graft and PIL both decode by libjpeg-turbo, to the same pixels.

graft prints probabilities. Their logarithms are the logits but for a constant, so both sides are compared centred.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])
ENGINES = ("ort", "tract")
# The pixels are the same, so this is for sums in another order, and for probabilities printed as 32-bit numbers.
TOLERANCE = 1e-3


def decoded(path: Path) -> Image.Image:
    return ImageOps.exif_transpose(Image.open(path)).convert("RGB")


def prepared(path: Path) -> np.ndarray:
    """[1, 3, 224, 224], normalised."""
    image = decoded(path)
    short = min(image.size)
    size = (256 * image.width // short, 256 * image.height // short)
    image = image.resize(size, Image.Resampling.BILINEAR)
    left, top = round((image.width - 224) / 2), round((image.height - 224) / 2)
    pixels = np.asarray(image.crop((left, top, left + 224, top + 224))) / 255
    return ((pixels - MEAN) / STD).transpose(2, 0, 1)[None].astype(np.float32)


def reference(original: str, photographs: list[Path]) -> np.ndarray:
    session = onnxruntime.InferenceSession(original, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.stack([session.run(None, {name: prepared(path)})[0].reshape(-1) for path in photographs])


def grafted(command: list[str], photographs: list[Path], classes: int) -> np.ndarray:
    """Logarithms of the probabilities, in the order of the classes."""
    command = [*command, "--top-k", str(classes), "--format", "json", *map(str, photographs)]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    scores = np.zeros((len(photographs), classes))
    for row, line in zip(scores, lines, strict=True):
        for prediction in json.loads(line)["predictions"]:
            row[prediction["class"]] = prediction["score"]
    return np.log(scores)


def compare(title: str, names: list[str], logits: np.ndarray, expected: np.ndarray) -> bool:
    shift = (expected - logits).mean(axis=1, keepdims=True)
    differences = np.abs(logits + shift - expected).max(axis=1) / np.abs(expected).max(axis=1)
    same = logits.argmax(axis=1) == expected.argmax(axis=1)
    print(
        f"{title}: {same.sum()} of {len(names)} with the same best class; logits differ by "
        f"{np.median(differences):.1e} (median), {differences.max():.1e} (largest), allowed {TOLERANCE:.0e}"
    )
    for name, difference, equal in zip(names, differences, same, strict=True):
        if difference > TOLERANCE or not equal:
            print(f"{title}: FAILED: {name}: {difference:.1e}, best class {'the same' if equal else 'another'}")
    return bool(same.all() and (differences <= TOLERANCE).all())


def main() -> int:
    graft, data_dir, model, original, *arguments = sys.argv[1:]
    photographs = [Path(argument) for argument in arguments]
    names = [path.name for path in photographs]
    expected = reference(original, photographs)
    good = True
    for engine in ENGINES:
        command = [graft, "classify", "--data-dir", data_dir, "--engine", engine, "--model", model]
        good = compare(engine, names, grafted(command, photographs, expected.shape[1]), expected) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
