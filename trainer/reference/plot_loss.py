"""Draws the loss and accuracy of a run of `graft train`.

    pip install matplotlib
    python plot_loss.py RUN PICTURE

RUN is the run's folder, with `metrics.csv` (a row an epoch) and `steps/steps.csv`. PICTURE ends in .svg or .png.
"""

import csv
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def columns(path):
    rows = list(csv.DictReader(path.open()))
    return {name: [float(row[name]) for row in rows if row[name]] for name in rows[0]}


def main():
    run, picture = map(pathlib.Path, sys.argv[1:3])
    epochs, steps = columns(run / "metrics.csv"), columns(run / "steps" / "steps.csv")
    figure, (above, below) = plt.subplots(2, 1, sharex=True, figsize=(8, 6), height_ratios=[2, 1], layout="constrained")
    above.plot(steps["step"], steps["train_loss"], color="0.75", linewidth=0.8, label="training, a step")
    above.plot(epochs["step"], epochs["train_loss"], color="tab:blue", marker="o", markersize=3, label="training, an epoch")
    above.plot(epochs["step"], epochs["validation_loss"], color="tab:orange", marker="o", markersize=3, label="test")
    above.set_ylabel("cross-entropy")
    above.set_ylim(bottom=0)
    above.legend()
    below.plot(epochs["step"], epochs["train_top1"], color="tab:blue", marker="o", markersize=3)
    below.plot(epochs["step"], epochs["validation_top1"], color="tab:orange", marker="o", markersize=3)
    below.set_ylabel("top-1")
    below.set_ylim(0, 1)
    below.set_xlabel("step")
    for axes in (above, below):
        axes.grid(alpha=0.3)
    matplotlib.rcParams["svg.hashsalt"] = "graft"
    figure.savefig(picture, metadata={"Date": None} if picture.suffix == ".svg" else None, dpi=110)


main()
