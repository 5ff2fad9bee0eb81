"""What the inputs and outputs of classifiers mean: the networks of `model_ends.py` and
`model_inputs.py`, each imported and asked about two pictures.
The scores must be those that ONNX Runtime in Python and arithmetic give for the original file, on both engines; what has no
scores must be refused with the words that say what to do. A server with all that were imported must answer as the command
does.

    python tests/interop/check_model_ends.py GRAFT [CASE…]
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import onnxruntime
from onnx import TensorProto
from PIL import Image

import model_ends
import model_inputs
from model_ends import CLASSES, SIDE, Case, model, softmax, value

onnxruntime.set_default_logger_severity(4)
CASES = model_ends.CASES | model_inputs.CASES
PICTURES = {"red": (220, 30, 30), "blue": (20, 30, 220)}
# How long a server may take until all models have passed their tests.
START_SECONDS = 120
# The same engine on the same picture: what is left is the printing of the numbers.
SAME = 1e-5


def expected(case: Case, pixels: np.ndarray) -> np.ndarray:
    """The scores of one picture by ONNX Runtime and arithmetic."""
    file, probe = case.model, getattr(case.scores, "probe", None)
    if probe:
        nodes, name, options = probe
        file = model(nodes, [value(name, TensorProto.FLOAT, ["n", CLASSES])], **options)
    session = onnxruntime.InferenceSession(file.SerializeToString(), providers=["CPUExecutionProvider"])
    outputs = session.run(None, {session.get_inputs()[0].name: case.pixels(pixels)})
    by_name = {output.name: array for output, array in zip(session.get_outputs(), outputs, strict=True)}
    if probe:
        return by_name["s"].ravel() if probe[1] == "s" else softmax(by_name[probe[1]])
    return case.scores(by_name)


def graft(program: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([program, "--data-dir", folder / "data", *arguments], capture_output=True, text=True, check=False)


def check(program: str, folder: Path, name: str, case: Case, answered: dict[str, list[dict]]) -> list[str]:
    """What is wrong with the case; nothing if all is well. The answers of the serving engine are put on record."""
    path = folder / f"{name}.onnx"
    path.write_bytes(case.model.SerializeToString())
    arguments = [*case.arguments]
    if case.preprocess:
        arguments += ["--preprocess", case.preprocess]
    if case.labels:
        (folder / "labels.txt").write_text("\n".join(case.labels) + "\n")
        arguments += ["--labels", folder / "labels.txt"]
    stored = name.replace("_", "-")
    imported = graft(program, folder, "import", path, "--name", stored, *arguments)
    said = imported.stdout + imported.stderr
    problems = [] if case.says in said else [f"does not say `{case.says}`"]
    if "onnxruntime" in said:
        problems.append("the runtime's own words are printed")
    if case.scores is None:
        if imported.returncode == 0 or "error: " not in imported.stderr:
            problems.append("is not refused")
        return [f"{problem}: {said}" for problem in problems]
    if imported.returncode != 0:
        return [f"is refused: {said}"]
    for engine in ("ort", "tract"):
        if engine == "tract" and "kept as it is" in said:
            continue
        done = graft(
            program,
            folder,
            "--engine",
            engine,
            "classify",
            "--model",
            stored,
            "--format",
            "json",
            "--top-k",
            "100",
            *(folder / f"{picture}.png" for picture in PICTURES),
        )
        if done.returncode != 0:
            problems.append(f"{engine} does not classify: {done.stderr}")
            continue
        if engine == "ort":
            answered[stored] = [json.loads(line) for line in done.stdout.splitlines()]
        for line, (picture, color) in zip(done.stdout.splitlines(), PICTURES.items(), strict=True):
            pixels = np.broadcast_to(np.array(color, np.float32).reshape(1, 3, 1, 1), (1, 3, SIDE, SIDE))
            wanted = expected(case, pixels)
            scores = np.zeros(len(wanted))
            for prediction in json.loads(line)["predictions"]:
                scores[prediction["class"]] = prediction["score"]
            difference = np.abs(scores - wanted).max()
            if difference > case.tolerance:
                problems.append(f"{engine}, {picture}: {scores.round(4)} instead of {wanted.round(4)}")
    return problems


def over_http(program: str, folder: Path, answered: dict[str, list[dict]]) -> list[str]:
    """What a server with all these models answers otherwise than the command."""
    with (folder / "server.log").open("w") as log:
        command = [program, "--data-dir", folder / "data", "--engine", "ort", "serve", "--port", "0"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        url = next(word for word in server.stdout.readline().split() if word.startswith("http://")).rstrip("/")
        await_models(url, set(answered))
        return [problem for name in answered for problem in compare(url, folder, name, answered[name])]
    finally:
        server.terminate()
        server.wait()


def await_models(url: str, names: set[str]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"{url}/models") as answer:
            states = {model["name"]: model["state"] for model in json.load(answer)["data"]}
        if names <= states.keys() and "LOADING" not in states.values():
            return
        time.sleep(0.2)
    sys.exit(f"FAILED: models were still being loaded after {START_SECONDS} s")


def compare(url: str, folder: Path, name: str, answers: list[dict]) -> list[str]:
    problems = []
    for picture, wanted in zip(PICTURES, answers, strict=True):
        body = (folder / f"{picture}.png").read_bytes()
        request = urllib.request.Request(f"{url}/classify/bytes?model={name}&top_k=100", body, {"content-type": "image/png"})
        try:
            with urllib.request.urlopen(request) as reply:
                found = json.load(reply)
        except urllib.error.HTTPError as error:
            problems.append(f"{name}: over HTTP {error.code}: {error.read().decode()}")
            continue
        same = [found.get(key) == wanted.get(key) for key in ("scores", "threshold")]
        pairs = zip(found["results"][0]["predictions"], wanted["predictions"], strict=True)
        same += [a["label"] == b["label"] and abs(a["score"] - b["score"]) <= SAME and a.get("present") == b.get("present") for a, b in pairs]
        if not all(same):
            problems.append(f"{name}, {picture}: over HTTP {found}, by the command {wanted}")
    return problems


def main() -> None:
    program, *chosen = sys.argv[1:]
    os.environ.setdefault("NO_COLOR", "1")
    wrong = 0
    answered: dict[str, list[dict]] = {}
    with tempfile.TemporaryDirectory(prefix="graft-ends-") as name:
        folder = Path(name)
        for picture, color in PICTURES.items():
            Image.new("RGB", (SIDE, SIDE), color).save(folder / f"{picture}.png")
        for case in chosen or CASES:
            problems = check(program, folder, case, CASES[case], answered)
            wrong += bool(problems)
            for problem in problems:
                print(f"{case}: {problem}", file=sys.stderr, flush=True)
        different = over_http(program, folder, answered)
        for problem in different:
            print(problem, file=sys.stderr, flush=True)
    if different:
        sys.exit(f"FAILED: {len(different)} answers over HTTP")
    if wrong:
        sys.exit(f"FAILED: {wrong} of {len(chosen or CASES)} model ends")
    print(f"{len(chosen or CASES)} model ends: as ONNX Runtime and arithmetic have them, or refused; {len(answered)} also over HTTP")


if __name__ == "__main__":
    main()
