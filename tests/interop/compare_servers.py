"""Compares graft with FastAPI and ONNX Runtime, on the same file, the same image and the same processor.

    python tests/interop/compare_servers.py GRAFT MODEL.onnx PHOTO.jpg [--seconds 4] [--rounds 3] [--connections 1,2,4,8]

Needs fastapi, uvicorn, onnxruntime, numpy and pillow. FastAPI runs with as many processes as there are processors, each with a
session of one thread, and prepares images as torchvision does: Pillow decodes, resizes the shorter side to 256, and crops
224x224. The servers take turns in every round; requests a second, the median latency, and the processor time of the server's
processes for each answer are medians of the rounds. Clients share the processors with the server.
"""

import argparse
import contextlib
import http.client
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

APPLICATION = """
    import io
    import os

    import numpy
    import onnxruntime
    from fastapi import FastAPI, Request
    from PIL import Image

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    mean = numpy.array([0.485, 0.456, 0.406], numpy.float32)
    deviation = numpy.array([0.229, 0.224, 0.225], numpy.float32)
    app = FastAPI()


    @app.post("/classify/bytes")
    async def classify(request: Request):
        image = Image.open(io.BytesIO(await request.body())).convert("RGB")
        scale = 256 / min(image.size)
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.BILINEAR)
        left, top = (image.width - 224) // 2, (image.height - 224) // 2
        image = image.crop((left, top, left + 224, top + 224))
        pixels = (numpy.asarray(image, numpy.float32) / 255 - mean) / deviation
        logits = session.run(None, {name: pixels.transpose(2, 0, 1)[None]})[0][0]
        scores = numpy.exp(logits - logits.max())
        scores /= scores.sum()
        return [{"class": int(best), "score": float(scores[best])} for best in scores.argsort()[::-1][:5]]
"""
READY_SECONDS = 60


@dataclass
class Server:
    """A running server: where it answers, and its first process."""

    name: str
    port: int
    process: subprocess.Popen


@dataclass
class Load:
    """What came of some seconds of requests."""

    answers: int
    seconds: float
    latencies: list[float]
    cpu: float


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def processes(root: int) -> list[int]:
    """A process and all that it has started."""
    found = [root]
    for process in found:
        children = Path(f"/proc/{process}/task/{process}/children")
        if children.exists():
            found += [int(child) for child in children.read_text().split()]
    return found


def cpu_seconds(root: int) -> float:
    ticks = 0
    for process in processes(root):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def started(name: str, command: list[str], environment: dict[str, str], port: int) -> Iterator[Server]:
    process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield Server(name, port, process)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def ask(connection: http.client.HTTPConnection, image: bytes) -> None:
    connection.request("POST", "/classify/bytes", image, {"content-type": "application/octet-stream"})
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        raise ConnectionError(answer.status)


def await_ready(server: Server, image: bytes) -> None:
    for _ in range(10 * READY_SECONDS):
        try:
            return ask(http.client.HTTPConnection("127.0.0.1", server.port), image)
        except OSError:
            time.sleep(0.1)
    sys.exit(f"FAILED: {server.name} does not answer")


def load(server: Server, image: bytes, connections: int, seconds: float) -> Load:
    end, latencies = time.monotonic() + seconds, [[] for _ in range(connections)]

    def client(mine: list[float]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        while (begun := time.monotonic()) < end:
            ask(connection, image)
            mine.append(time.monotonic() - begun)

    begun, before = time.monotonic(), cpu_seconds(server.process.pid)
    threads = [threading.Thread(target=client, args=(mine,)) for mine in latencies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = [latency for mine in latencies for latency in mine]
    return Load(len(taken), time.monotonic() - begun, taken, cpu_seconds(server.process.pid) - before)


def median(loads: list[Load], figure: Callable[[Load], float]) -> float:
    return statistics.median(figure(load) for load in loads)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("graft", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", default="1,2,4,8")
    parser.add_argument("--data-dir", type=Path, help="a data folder in which the model is stored as `model`, with its variants")
    options = parser.parse_args()
    image, graft = options.photo.read_bytes(), str(options.graft.resolve())
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as running:
        folder = Path(name)
        data = options.data_dir or folder / "data"
        if not options.data_dir:
            command = [graft, "import", options.model, "--name", "model", "--data-dir", data]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (folder / "application.py").write_text(textwrap.dedent(APPLICATION))
        ports = [free_port(), free_port()]
        serve = [graft, "serve", "--data-dir", str(data), "--port", str(ports[0]), "--log", "error"]
        workers = str(os.cpu_count() or 1)
        uvicorn = [sys.executable, "-m", "uvicorn", "application:app", "--app-dir", name, "--log-level", "error"]
        uvicorn += ["--port", str(ports[1]), "--workers", workers]
        model = {"MODEL": str(options.model.resolve())}
        servers = [
            running.enter_context(started("graft", serve, {}, ports[0])),
            running.enter_context(started(f"FastAPI, {workers} processes", uvicorn, model, ports[1])),
        ]
        for server in servers:
            await_ready(server, image)
        print("| connections | server | requests/s | p50 ms | CPU ms a request |\n|---|---|---|---|---|")
        for connections in map(int, options.connections.split(",")):
            rounds: dict[str, list[Load]] = {server.name: [] for server in servers}
            for _ in range(options.rounds):
                for server in servers:
                    rounds[server.name].append(load(server, image, connections, options.seconds))
            for server_name, loads in rounds.items():
                rate = median(loads, lambda found: found.answers / found.seconds)
                p50 = median(loads, lambda found: 1000 * statistics.median(found.latencies))
                cpu = median(loads, lambda found: 1000 * found.cpu / found.answers)
                print(f"| {connections} | {server_name} | {rate:.1f} | {p50:.1f} | {cpu:.1f} |", flush=True)


if __name__ == "__main__":
    main()
