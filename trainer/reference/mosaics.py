"""Images of several classes made of photographs of one, and graft's head beside scikit-learn's on the same features.

    pip install scikit-learn safetensors pillow threadpoolctl
    python trainer/reference/mosaics.py GRAFT OXFORD17 FOLDER BASE:WIDTH...

OXFORD17 is the folder with `jpg/image_0001.jpg` and so on. FOLDER becomes a data set: 1200 mosaics of two to four photographs of
different flowers, two by two with gray where one is missing, and `labels.csv` with a column for each flower. 60 photographs of each
flower make the 900 mosaics to train on, the other 20 the 300 to test on, so that no photograph is in both. GRAFT, BASE and WIDTH are
as in heads.py. scikit-learn fits a LogisticRegression for each class on standardized features, with one C for all that is chosen by
five-fold cross-validation by mean average precision.
"""

import csv
import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from heads import features

CLASSES, IMAGES, TRAINING, SIDE = 17, 80, 60, 160
MOSAICS = {"train": 900, "test": 300}
STRENGTHS = np.logspace(-4, 1, 6)


def mosaic(folder, numbers):
    canvas = Image.new("RGB", (2 * SIDE, 2 * SIDE), (128, 128, 128))
    for cell, number in enumerate(numbers):
        image = Image.open(folder / "jpg" / f"image_{number + 1:04}.jpg").convert("RGB")
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.BICUBIC)
        canvas.paste(image, (cell % 2 * SIDE, cell // 2 * SIDE))
    return canvas


def make(source, target):
    """Writes the data set, and gives the path, subset and labels of each image."""
    rng = np.random.default_rng(0)
    orders = [rng.permutation(IMAGES) for _ in range(CLASSES)]
    (target / "images").mkdir(parents=True, exist_ok=True)
    rows = []
    for subset, count in MOSAICS.items():
        first, last = (0, TRAINING) if subset == "train" else (TRAINING, IMAGES)
        for _ in range(count):
            classes = rng.choice(CLASSES, size=rng.integers(2, 5), replace=False)
            numbers = [c * IMAGES + orders[c][rng.integers(first, last)] for c in classes]
            path = target / "images" / f"{len(rows):04}.jpg"
            mosaic(source, numbers).save(path, quality=92)
            rows.append((path, subset, np.isin(np.arange(CLASSES), classes).astype(int)))
    with (target / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "split", *(f"flower {c:02}" for c in range(CLASSES))])
        writer.writerows([f"images/{path.name}", subset, *bits] for path, subset, bits in rows)
    return rows


def finetune(graft, base, table):
    name = f"mosaics-{base}"
    environment = {**os.environ, "RAYON_NUM_THREADS": "1"}
    subprocess.run([graft, "finetune", "--base", base, "--data", table, "--name", name, "--threads", "1"], check=True, env=environment, capture_output=True)
    versions = pathlib.Path(os.environ["GRAFT_DATA_DIR"]) / "models" / name
    newest = max((entry for entry in versions.iterdir() if entry.name.isdigit()), key=lambda entry: int(entry.name))
    return json.loads((newest / "report.json").read_text())


def scikit_learn(x, y, train, test):
    """mAP, micro and macro F1 at 0.5 on the test images, and seconds."""
    start = time.perf_counter()
    scaler = StandardScaler().fit(x[train])
    x = scaler.transform(x)
    model = lambda c: OneVsRestClassifier(LogisticRegression(C=c, max_iter=1000))
    folds = KFold(5, shuffle=True, random_state=0)

    def precision(c):
        scores = cross_val_predict(model(c), x[train], y[train], cv=folds, method="decision_function")
        return average_precision_score(y[train], scores, average="macro")

    best = model(max(STRENGTHS, key=precision)).fit(x[train], y[train])
    seconds = time.perf_counter() - start
    scores, said = best.decision_function(x[test]), best.predict(x[test])
    measures = average_precision_score(y[test], scores, average="macro"), f1_score(y[test], said, average="micro"), f1_score(y[test], said, average="macro")
    return *measures, seconds


def main(graft, source, target, *bases):
    rows = make(pathlib.Path(source), pathlib.Path(target))
    y = np.stack([bits for _, _, bits in rows])
    train, test = ([i for i, row in enumerate(rows) if row[1] == subset] for subset in ("train", "test"))
    print("base             program        mAP  micro F1  macro F1  seconds")
    for base in bases:
        name, _, width = base.partition(":")
        report = finetune(graft, name, pathlib.Path(target) / "labels.csv")
        result = report["test"]
        ours = result["mean_average_precision"], result["micro_f1"], result["macro_f1"], report["seconds"]["training"]
        with threadpool_limits(1):
            theirs = scikit_learn(features([path for path, _, _ in rows], int(width)), y, train, test)
        for program, (precision, micro, macro, seconds) in [("graft", ours), ("scikit-learn", theirs)]:
            print(f"{name:16} {program:12} {100 * precision:6.2f} {100 * micro:9.2f} {100 * macro:9.2f} {seconds:8.2f}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
