"""graft's heads beside scikit-learn's LogisticRegressionCV, on the same features of the same photographs, one thread each.

    pip install scikit-learn safetensors threadpoolctl
    python trainer/reference/heads.py GRAFT OXFORD17 BASE:WIDTH...

GRAFT is the program, OXFORD17 the folder with `jpg/image_0001.jpg` and so on, and each BASE a model in the store of
GRAFT_DATA_DIR whose features are so many numbers. For each of six seeds a table names 60 photographs of each class to train on and 20 to test. graft reads the
table; its features are taken from its cache. scikit-learn gets them standardized, feature maps averaged first, and chooses C
by five-fold cross-validation.
"""

import csv
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
from safetensors.numpy import load_file
from sklearn.linear_model import LogisticRegressionCV
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

CLASSES, IMAGES, TRAINING = 17, 80, 60
SEEDS = range(6)
STRENGTHS = np.logspace(-4, 2, 10)


def split(seed):
    """Numbers of training and of test images."""
    rng = np.random.default_rng(seed)
    orders = [first + rng.permutation(IMAGES) for first in range(0, CLASSES * IMAGES, IMAGES)]
    return np.concatenate([order[:TRAINING] for order in orders]), np.concatenate([order[TRAINING:] for order in orders])


def finetune(graft, base, photographs, subsets):
    """The report of a fine-tune on these images."""
    with tempfile.TemporaryDirectory() as folder:
        table = pathlib.Path(folder) / "images.csv"
        with table.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["path", "label", "split"])
            for subset, numbers in zip(["train", "test"], subsets):
                writer.writerows([photographs[number], f"flower {number // IMAGES:02}", subset] for number in numbers)
        name = f"heads-{base}"
        environment = {**os.environ, "RAYON_NUM_THREADS": "1"}
        command = [graft, "finetune", "--base", base, "--data", table, "--name", name, "--threads", "1"]
        subprocess.run(command, check=True, env=environment, capture_output=True)
        versions = pathlib.Path(os.environ["GRAFT_DATA_DIR"]) / "models" / name
        newest = max((entry for entry in versions.iterdir() if entry.name.isdigit()), key=lambda entry: int(entry.name))
        return json.loads((newest / "report.json").read_text())


def features(photographs, width):
    """The features of all photographs, from the cache of the network whose features have this width."""
    checksums = [hashlib.sha256(path.read_bytes()).digest() for path in photographs]
    for cache in (pathlib.Path(os.environ["GRAFT_DATA_DIR"]) / "cache" / "features").iterdir():
        rows = {}
        for file in cache.glob("*.safetensors"):
            tensors = load_file(file)
            if tensors["features"].shape[1] == width:
                rows.update(zip(map(bytes, tensors["images"]), tensors["features"]))
        if all(checksum in rows for checksum in checksums):
            return np.stack([rows[checksum] for checksum in checksums])
    raise SystemExit(f"no cache has {width} features of all photographs")


def scikit_learn(rows, subsets):
    """Top-1 on the test images, and seconds."""
    train, test = subsets
    start = time.perf_counter()
    scaler = StandardScaler().fit(rows[train])
    model = LogisticRegressionCV(Cs=STRENGTHS, cv=5, max_iter=1000)
    model.fit(scaler.transform(rows[train]), train // IMAGES)
    seconds = time.perf_counter() - start
    return (model.predict(scaler.transform(rows[test])) == test // IMAGES).mean(), seconds


def main(graft, folder, *bases):
    photographs = [pathlib.Path(folder).resolve() / "jpg" / f"image_{number:04}.jpg" for number in range(1, CLASSES * IMAGES + 1)]
    print("base            seed  graft  sklearn   graft s  sklearn s  head")
    for base in bases:
        name, _, width = base.partition(":")
        totals = []
        for seed in SEEDS:
            subsets = split(seed)
            report = finetune(graft, name, photographs, subsets)
            rows = features(photographs, int(width))
            if rows.shape[1] > 4096:
                rows = rows.reshape(len(rows), -1, 49).mean(axis=2)
            with threadpool_limits(1):
                top1, seconds = scikit_learn(rows, subsets)
            ours = report["test"]["top1"], report["seconds"]["training"]
            totals.append([100 * ours[0], 100 * top1, ours[1], seconds])
            best = report["head"]["candidates"][0]
            print(f"{name:15} {seed:4} {totals[-1][0]:6.2f} {totals[-1][1]:8.2f} {ours[1]:9.2f} {seconds:10.2f}  {best}", flush=True)
        mean = np.mean(totals, axis=0)
        print(f"{name:15} mean {mean[0]:6.2f} {mean[1]:8.2f} {mean[2]:9.2f} {mean[3]:10.2f}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
