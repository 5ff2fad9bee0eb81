"""graft's 8-bit networks beside those of onnxruntime.quantization, on real photographs.

    python tests/interop/compare_quantizers.py GRAFT DATA_DIR MODEL PHOTOGRAPH_FOLDER

MODEL is a stored model that `graft quantize` or `--model-precision auto` has quantized. The folder holds Oxford-17's photographs
(`image_0001.jpg` to `image_1360.jpg`, 80 of each class in the order of the classes). The script takes every thirteenth
photograph to calibrate `quantize_static` by the same recipe (QDQ, i8 weights for each channel, u8 activations, MinMax), runs
f32 and both quantized files on all others, and prints, for each: the size, top-1, the answers that are those of f32, the
median difference of the logits, and the milliseconds of one image, of runs that alternate. Photographs are prepared by PIL as
the file's metadata says. Behind them it prints which operators ONNX Runtime made of each file: a convolution of `f32` that is left
over, or more `Transpose` than two, is a node that was not fused.

Training photographs are among those that are measured, so top-1 is only for comparing the rows.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from PIL import Image, ImageOps

CALIBRATED_EVERY = 13
THREADS = 2
ROUNDS = 31
FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def prepared(path: Path, spec: dict) -> np.ndarray:
    """[1, 3, height, width], 0 to 255."""
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    resize = spec["resize"]
    if resize["mode"] == "shorter_side":
        short = min(image.size)
        size = tuple(resize["size"] * side // short for side in image.size)
        image = image.resize(size, FILTERS[spec["filter"]])
    elif resize["mode"] == "exact":
        image = image.resize((resize["width"], resize["height"]), FILTERS[spec["filter"]])
    if crop := spec.get("crop"):
        left, top = (round((a - b) / 2) for a, b in zip(image.size, (crop["width"], crop["height"]), strict=True))
        image = image.crop((left, top, left + crop["width"], top + crop["height"]))
    return np.asarray(image, dtype=np.float32).transpose(2, 0, 1)[None]


class Reader(CalibrationDataReader):
    def __init__(self, name: str, photographs: list[Path], spec: dict) -> None:
        self.rows = ({name: prepared(path, spec)} for path in photographs)

    def get_next(self) -> dict | None:
        return next(self.rows, None)


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def operators(path: Path) -> str:
    """What ONNX Runtime runs for this file."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(path.with_suffix(".optimized"))
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    counts = Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)
    return ", ".join(f"{operator} {count}" for operator, count in counts.most_common())


def class_number(path: Path) -> int:
    return (int(path.stem.removeprefix("image_")) - 1) // 80


def main() -> int:
    graft, data_dir, model, folder = sys.argv[1:]
    photographs = sorted(Path(folder).glob("image_*.jpg"))
    calibration = photographs[::CALIBRATED_EVERY]
    measured = [path for path in photographs if path not in set(calibration)]
    with tempfile.TemporaryDirectory() as scratch:
        files = {name: Path(scratch, f"{name}.onnx") for name in ("f32", "graft", "onnxruntime")}
        for name, variant in (("f32", "f32"), ("graft", "int8")):
            command = [graft, "--data-dir", data_dir, "export", "--model", model, "--variant", variant]
            subprocess.run([*command, "--out", str(files[name])], check=True, stdout=subprocess.DEVNULL)
        metadata = {entry.key: entry.value for entry in onnx.load(files["f32"]).metadata_props}
        spec = json.loads(metadata.get("graft.spec.v1") or metadata["graft.spec.v2"])["preprocess"]
        quantize_static(
            str(files["f32"]),
            str(files["onnxruntime"]),
            Reader("input", calibration, spec),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        sessions = {name: session(path) for name, path in files.items()}
        logits = {name: [] for name in files}
        for path in measured:
            pixels = prepared(path, spec)
            for name, own in sessions.items():
                logits[name].append(own.run(["logits"], {"input": pixels})[0][0])
        times = {name: [] for name in files}
        for _ in range(ROUNDS):
            for name, own in sessions.items():
                started = time.perf_counter()
                own.run(["logits"], {"input": pixels})
                times[name].append(1000 * (time.perf_counter() - started))
        truths = np.array([class_number(path) for path in measured])
        expected = np.stack(logits["f32"])
        print(f"{model}: {len(calibration)} photographs calibrate, {len(measured)} measure, {THREADS} threads")
        for name, rows in logits.items():
            rows = np.stack(rows)
            differences = np.abs(rows - expected).max(axis=1) / np.abs(expected).max(axis=1)
            print(
                f"{name:12} {files[name].stat().st_size / 1e6:7.2f} MB  top-1 {(rows.argmax(1) == truths).mean():.4f}  "
                f"agrees {(rows.argmax(1) == expected.argmax(1)).mean():.4f}  "
                f"logits {np.median(differences):.4f}  {np.median(times[name]):7.2f} ms"
            )
        for name, path in files.items():
            print(f"{name:12} {operators(path)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
