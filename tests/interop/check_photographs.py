"""Whether graft sees real photographs as Python does.

    python tests/interop/check_photographs.py GRAFT DATA_DIR MODEL ORIGINAL.onnx PHOTOGRAPH...

Classifies each photograph with `graft classify` on every engine, and with the original file in Python's ONNX Runtime on
tensors prepared by PIL as torchvision's `ImageClassification` preset prepares them: shorter side 256, bilinear, centre
crop 224, ImageNet's mean and deviation. The best class must be the same, and the logits within a tolerance, relative to
the largest.

Twice: with the files as they are, and with PNG copies of what PIL decodes. JPEG decoders differ by single grey levels
(PIL has libjpeg-turbo, graft zune-jpeg); the copies take that difference away and leave resizing and the network.

graft prints probabilities. Their logarithms are the logits but for a constant, so both sides are compared centred.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])
ENGINES = ("ort", "tract")
# Same pixels before resizing.
TOLERANCE = 1e-3
# Other pixels, by the JPEG decoder.
DECODER_TOLERANCE = 2e-2


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


def compare(title: str, names: list[str], logits: np.ndarray, expected: np.ndarray, tolerance: float) -> bool:
    shift = (expected - logits).mean(axis=1, keepdims=True)
    differences = np.abs(logits + shift - expected).max(axis=1) / np.abs(expected).max(axis=1)
    same = logits.argmax(axis=1) == expected.argmax(axis=1)
    print(
        f"{title}: {same.sum()} of {len(names)} with the same best class; logits differ by "
        f"{np.median(differences):.1e} (median), {differences.max():.1e} (largest), allowed {tolerance:.0e}"
    )
    for name, difference, equal in zip(names, differences, same, strict=True):
        if difference > tolerance or not equal:
            print(f"{title}: FAILED: {name}: {difference:.1e}, best class {'the same' if equal else 'another'}")
    return bool(same.all() and (differences <= tolerance).all())


def main() -> int:
    graft, data_dir, model, original, *arguments = sys.argv[1:]
    photographs = [Path(argument) for argument in arguments]
    names = [path.name for path in photographs]
    expected = reference(original, photographs)
    good = True
    with tempfile.TemporaryDirectory() as folder:
        copies = [Path(folder) / f"{index}.png" for index in range(len(photographs))]
        for path, copy in zip(photographs, copies, strict=True):
            decoded(path).save(copy, compress_level=1)
        for engine in ENGINES:
            command = [graft, "classify", "--data-dir", data_dir, "--engine", engine, "--model", model]
            for title, files, tolerance in (
                (f"{engine}, the same pixels", copies, TOLERANCE),
                (f"{engine}, the files themselves", photographs, DECODER_TOLERANCE),
            ):
                logits = grafted(command, files, expected.shape[1])
                good = compare(title, names, logits, expected, tolerance) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
