"""Whether models of graft know what they do not know: answers to classes that they were not trained on, and to other pictures.

    pip install scikit-learn pillow
    python trainer/reference/strangers.py GRAFT OXFORD17 CIFAR BASE...

GRAFT is the program, OXFORD17 the folder with `jpg/image_0001.jpg` and so on, CIFAR the file `test_batch.bin` of CIFAR-10 in
binary, and each BASE a model in the store of GRAFT_DATA_DIR. For each of six seeds three of the seventeen flowers are strangers: a
head learns the others, 60 photographs of each, and classifies 20 more of each, all photographs of the strangers, and 400 pictures
of CIFAR-10. AUROC is that of the known among the known and the strange.
"""

import csv
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image
from sklearn.metrics import roc_auc_score

CLASSES, IMAGES, TRAINING, STRANGE, FAR = 17, 80, 60, 3, 400
SEEDS = range(6)


def cifar(file, folder):
    """The first pictures, as files."""
    rows = np.fromfile(file, np.uint8).reshape(-1, 3073)[:FAR, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    for number, pixels in enumerate(rows):
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return sorted(folder.iterdir())


def classify(graft, name, files, folder):
    """Of each file the best score, the familiarity, whether the answer is uncertain, and its class."""
    listed = folder / "list.txt"
    listed.write_text("".join(f"{file}\n" for file in files))
    command = [graft, "classify", "--model", name, "--list", listed, "--output", "json", "--top-k", "1"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    answers = [json.loads(line) for line in lines]
    best = [answer["predictions"][0] for answer in answers]
    return {
        "score": np.array([each["score"] for each in best]),
        "familiarity": np.array([answer["familiarity"] for answer in answers]),
        "uncertain": np.array(["uncertain" in answer for answer in answers]),
        "label": [each["label"] for each in best],
    }


def trial(graft, base, photographs, far, seed):
    """AUROC by score and by familiarity against the near and the far, and shares of uncertain answers."""
    rng = np.random.default_rng(seed)
    strange = set(rng.choice(CLASSES, STRANGE, replace=False).tolist())
    orders = {number: number * IMAGES + rng.permutation(IMAGES) for number in range(CLASSES) if number not in strange}
    near = [photographs[at] for number in strange for at in range(number * IMAGES, (number + 1) * IMAGES)]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        table = folder / "images.csv"
        with table.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["path", "label", "split"])
            for number, order in orders.items():
                for place, at in enumerate(order):
                    writer.writerow([photographs[at], f"flower {number:02}", "train" if place < TRAINING else "test"])
        name = f"strangers-{base}-{seed}"
        subprocess.run([graft, "finetune", "--base", base, "--data", table, "--name", name], check=True, capture_output=True)
        tests = [(number, at) for number, order in orders.items() for at in order[TRAINING:]]
        known = classify(graft, name, [photographs[at] for _, at in tests], folder)
        others = [classify(graft, name, files, folder) for files in (near, far)]
    truth = [f"flower {number:02}" for number, _ in tests]
    sure = ~known["uncertain"]
    right = np.array([a == b for a, b in zip(known["label"], truth)])
    areas = [
        roc_auc_score(np.r_[np.ones(len(tests)), np.zeros(len(other[kind]))], np.r_[known[kind], other[kind]])
        for kind in ("score", "familiarity")
        for other in others
    ]
    return [*areas, sure.mean(), right[sure].mean(), *(other["uncertain"].mean() for other in others)]


def main(graft, oxford17, batch, *bases):
    photographs = [pathlib.Path(oxford17).resolve() / "jpg" / f"image_{number:04}.jpg" for number in range(1, CLASSES * IMAGES + 1)]
    with tempfile.TemporaryDirectory() as folder:
        far = cifar(batch, pathlib.Path(folder))
        print("base            seed  AUROC by score: near    far  by familiarity: near    far  sure  right  uncertain: near    far")
        for base in bases:
            rows = []
            for seed in SEEDS:
                rows.append(trial(graft, base, photographs, far, seed))
                print(f"{base:15} {seed:4}", line(rows[-1]), flush=True)
            print(f"{base:15} mean", line(np.mean(rows, axis=0)), flush=True)


def line(row):
    """The figures below their headings."""
    return "{:21.3f} {:6.3f} {:21.3f} {:6.3f} {:5.1%} {:6.1%} {:16.1%} {:6.1%}".format(*row)


if __name__ == "__main__":
    main(*sys.argv[1:])
