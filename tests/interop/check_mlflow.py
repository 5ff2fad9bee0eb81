"""Whether fine-tunes are recorded by a real MLflow tracking server, and read back by MLflow's own client.

    pip install mlflow
    python tests/interop/check_mlflow.py target/debug/graft

Starts `mlflow server` and graft on free ports in a folder of its own, fine-tunes the classifier of `tiny.py`, and compares
parameters, metrics by step, tags, status and artifacts. Then it stops MLflow, fine-tunes once more, which must succeed, and starts
MLflow again, which must get the rest.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import tiny
from interop import await_ready, free_port, import_tiny, library, run, say

PATIENCE = 120


@contextlib.contextmanager
def process(url: str, probe: str, log: Path, *command: object, **environment: str) -> Iterator[None]:
    """A server that has to answer before the block begins, and is ended behind it."""
    with log.open("a") as output:
        server = subprocess.Popen([str(word) for word in command], stdout=output, stderr=output, env={**os.environ, **environment})
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            if server.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"FAILED: {command[0]} does not answer\n{log.read_text()[-4000:]}")
            with contextlib.suppress(OSError):
                if urllib.request.urlopen(url + probe, timeout=2).status == 200:
                    break
            time.sleep(0.2)
        yield
    finally:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(20)
        if server.poll() is None:
            server.kill()
            server.wait()


def mlflow(folder: Path, port: int) -> contextlib.AbstractContextManager:
    store = ("--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", folder / "artifacts")
    command = (Path(sys.executable).with_name("mlflow"), "server", "--host", "127.0.0.1", "--port", port, "--workers", 1, *store)
    return process(f"http://127.0.0.1:{port}", "/health", folder / "mlflow.log", *command)


def ask(url: str, body: object = None) -> dict:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, {"content-type": "application/json"})) as answer:
        return json.load(answer)


def finetune(url: str, folder: Path, name: str) -> dict:
    dataset = {"kind": "folder", "path": str(folder / "colours")}
    options = {"views": 2, "head_solver": "sgd", "epochs": 7, "validation": 0.2}
    job = ask(f"{url}/finetune", {"base_model": "tiny", "name": name, "dataset": dataset, "options": options})
    deadline = time.monotonic() + PATIENCE
    while job["state"] in ("queued", "running") and time.monotonic() < deadline:
        time.sleep(0.2)
        job = ask(f"{url}/finetune/{job['id']}")
    if job["state"] != "succeeded":
        sys.exit(f"FAILED: {job}")
    return job


def recorded(client, experiment: str, name: str):
    """The run of this name, once it has ended."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = client.get_experiment_by_name(experiment)
        runs = client.search_runs([found.experiment_id]) if found else []
        for run in runs:
            if run.info.run_name == name and run.info.status == "FINISHED":
                return run
        time.sleep(0.5)
    sys.exit(f"FAILED: no run `{name}` has ended in the experiment `{experiment}`")


def check(client, run, job: dict) -> None:
    params, metrics, tags = run.data.params, run.data.metrics, run.data.tags
    expected = {"base_model": "tiny", "views": "2", "epochs": "7", "tuning.epochs": "12", "dataset.layout": "folder"}
    assert expected.items() <= params.items(), params
    assert tags["graft.job"] == job["id"] and tags["graft.model_version"] == str(job["result"]["version"]), tags
    assert metrics["test_top1"] == job["result"]["metrics"]["test_top1"], metrics
    steps = [(entry.step, entry.value) for entry in client.get_metric_history(run.info.run_id, "train_loss")]
    assert [step for step, _ in steps] == list(range(1, 8)), steps
    assert run.info.end_time >= run.info.start_time > 0, run.info
    files = {file.path: file.file_size for file in client.list_artifacts(run.info.run_id)}
    assert set(files) == {"report.html", "report.json"} and all(files.values()), files


def main() -> None:
    (graft,) = sys.argv[1:]
    graft = Path(graft).resolve()
    os.environ.setdefault("ORT_DYLIB_PATH", library())
    from mlflow.tracking import MlflowClient

    with tempfile.TemporaryDirectory(prefix="graft-mlflow-") as name:
        folder = Path(name)
        tiny.main(folder)
        data = folder / "data"
        import_tiny(graft, folder, data)
        ports = free_port(), free_port()
        tracking, url = (f"http://127.0.0.1:{port}" for port in ports)
        os.environ["MLFLOW_TRACKING_URI"] = tracking
        flags = ("--data-root", folder, "--mlflow-url", tracking, "--mlflow-experiment", "graft & Blüten")
        command = (graft, "serve", "--data-dir", data, "--port", ports[1], *flags)
        client = MlflowClient(tracking)
        with process(url, "/health/ready", folder / "graft.log", *command):
            with mlflow(folder, ports[0]):
                say("a fine-tune is recorded")
                job = finetune(url, folder, "first")
                check(client, recorded(client, "graft & Blüten", "first"), job)
            say("without MLflow a fine-tune succeeds, and MLflow gets it later")
            job = finetune(url, folder, "second")
            with mlflow(folder, ports[0]):
                check(client, recorded(client, "graft & Blüten", "second"), job)
        warnings = [line for line in (folder / "graft.log").read_text().splitlines() if "not recorded for now" in line]
        if len(warnings) != 1:
            sys.exit(f"FAILED: the log says {len(warnings)} times that MLflow is gone, expected once")
    say("MLflow: everything holds")


if __name__ == "__main__":
    main()
