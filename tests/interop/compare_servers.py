"""Compares graft with other servers, on the same network, the same image and the same processor.

    python tests/interop/compare_servers.py GRAFT PHOTO.jpg MODEL... [--data-dir FOLDER] [--servers graft,fastapi,litserve,triton]
        [--seconds 4] [--rounds 3] [--connections 1,2,4,8] [--figures FILE.json] [--chart FILE.svg]

A MODEL is an ONNX file, prepared for as torchvision's, or the name of a model in the data folder: the others run the file that `graft
export` writes of it. Of a stored model with variants graft is measured twice, in `f32` as the others and with its own choice.
graft takes the ONNX Runtime that `ORT_DYLIB_PATH` names, or one that it finds. `rival_servers.py` says how the others work; they need
onnxruntime, numpy and pillow, and `pip install fastapi "uvicorn[standard]" litserve python-multipart nvidia-pytriton`.
The servers of a network run side by side and take turns in every round; requests a second, the median latency, and the
processor time of the server's processes for each answer are medians of the rounds. Clients share the processors with the server. A
server whose best class is another one than graft's in `f32` is named below the table.
"""

import argparse
import contextlib
import datetime
import http.client
import json
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import server_chart
from rival_servers import CLASSIFIER, RIVALS, Request, Rival, raw, write

READY_SECONDS = 60
# The others refuse nothing, however long their queues are.
PATIENT = ["--max-queue-ms", "600000"]


@dataclass
class Server:
    """A running server: where it answers, what it is asked, and its first process."""

    name: str
    port: int
    request: Request
    process: subprocess.Popen


@dataclass
class Network:
    """A network under test: its name, its ONNX file, and how that file takes pixels."""

    name: str
    file: Path
    pixels: str
    data: Path
    has_variants: bool


@dataclass
class Load:
    """What came of some seconds of requests."""

    answers: int
    seconds: float
    latencies: list[float]
    cpu: float


@dataclass
class Row:
    """The medians of a server's rounds."""

    network: str
    connections: int
    server: str
    rate: float
    p50: float
    cpu: float

    @classmethod
    def of(cls, network: str, connections: int, server: str, loads: list[Load]) -> "Row":
        def median(figure: Callable[[Load], float]) -> float:
            return statistics.median(figure(load) for load in loads)

        rate = median(lambda found: found.answers / found.seconds)
        p50 = median(lambda found: 1000 * statistics.median(found.latencies))
        return cls(network, connections, server, rate, p50, median(lambda found: 1000 * found.cpu / max(found.answers, 1)))

    def line(self) -> str:
        return f"| {self.network} | {self.connections} | {self.server} | {self.rate:.1f} | {self.p50:.1f} | {self.cpu:.1f} |"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def processes(root: int) -> list[int]:
    """A process and all that its threads have started."""
    found = [root]
    for process in found:
        for children in Path(f"/proc/{process}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += [int(child) for child in children.read_text().split()]
    return found


def cpu_seconds(root: int) -> float:
    ticks = 0
    for process in processes(root):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def started(rival: Rival, port: int, log: Path) -> Iterator[Server]:
    with log.open("wb") as output:
        environment = {**os.environ, **rival.environment}
        process = subprocess.Popen(rival.command, env=environment, stdout=output, stderr=output, start_new_session=True)
    try:
        yield Server(rival.name, port, rival.request, process)
    finally:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        # Its group is its own; what it has left of it ends here.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def ask(connection: http.client.HTTPConnection, request: Request) -> http.client.HTTPResponse:
    connection.request("POST", request.path, request.body, request.headers)
    answer = connection.getresponse()
    answer.body = answer.read()
    if answer.status != 200:
        raise ConnectionError(answer.status)
    return answer


def await_ready(server: Server, log: Path) -> int:
    """Waits for the first answer, and returns its best class."""
    for _ in range(10 * READY_SECONDS):
        if server.process.poll() is not None:
            break
        try:
            return best(ask(http.client.HTTPConnection("127.0.0.1", server.port), server.request))
        except OSError:
            time.sleep(0.1)
    sys.exit(f"FAILED: {server.name} does not answer:\n{log.read_text()[-2000:]}")


def best(answer: http.client.HTTPResponse) -> int:
    length = answer.getheader("inference-header-content-length")
    if length:
        return int(np.frombuffer(answer.body[int(length) :], np.float32).argmax())
    found = json.loads(answer.body)
    return (found["results"][0]["predictions"] if isinstance(found, dict) else found)[0]["class"]


def load(server: Server, connections: int, seconds: float) -> Load:
    end, latencies = time.monotonic() + seconds, [[] for _ in range(connections)]

    def client(mine: list[float]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        while (begun := time.monotonic()) < end:
            ask(connection, server.request)
            mine.append(time.monotonic() - begun)

    begun, before = time.monotonic(), cpu_seconds(server.process.pid)
    threads = [threading.Thread(target=client, args=(mine,)) for mine in latencies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = [latency for mine in latencies for latency in mine]
    return Load(len(taken), time.monotonic() - begun, taken, cpu_seconds(server.process.pid) - before)


def network(options: argparse.Namespace, model: str, folder: Path) -> Network:
    """An ONNX file is imported into a data folder of its own, a stored model is exported."""
    graft, file = str(options.graft.resolve()), Path(model)
    if file.is_file():
        data = folder / "data"
        command = [graft, "import", str(file), "--name", "model", "--data-dir", str(data)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return Network(file.stem, file.resolve(), "normalized", data, has_variants=False)
    if not options.data_dir:
        sys.exit(f"FAILED: there is no file {model}; a stored model needs --data-dir")
    exported = folder / f"{model}.onnx"
    command = [graft, "export", "--model", model, "--out", str(exported), "--data-dir", str(options.data_dir)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    # Alone, as the others have it: other models of the folder would be loaded while this one is measured.
    stored = Path(shutil.copytree(options.data_dir / "models" / model, folder / "data" / "models" / model))
    return Network(model, exported, "bytes", folder / "data", any(stored.glob("*/variants/*.onnx")))


def contestants(options: argparse.Namespace, tested: Network, folder: Path) -> Iterator[tuple[Rival, int]]:
    image = options.photo.read_bytes()
    write(folder / "classifier.py", CLASSIFIER)
    environment = {"MODEL": str(tested.file), "PIXELS": tested.pixels, "PYTHONPATH": str(folder)}
    for kind in options.servers.split(","):
        port = free_port()
        if kind != "graft":
            rival = RIVALS[kind](folder, image, port)
            rival.environment = {**environment, **rival.environment}
            yield rival, port
            continue
        name = "model" if tested.pixels == "normalized" else tested.name
        serve = [str(options.graft.resolve()), "serve", "--data-dir", str(tested.data), "--log", "error", "--no-starter", "--engine", "ort", *PATIENT]
        request = raw(image, f"/classify/bytes?model={name}")
        # No variant may answer in the place of `f32`, not even one that is better on a few test images.
        yield Rival("graft, f32", [*serve, "--port", str(port), "--max-accuracy-drop", "-100"], request), port
        if tested.has_variants:
            port = free_port()
            yield Rival("graft, its own choice", [*serve, "--port", str(port)], request), port


def measure(options: argparse.Namespace, model: str) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as running:
        folder = Path(name)
        tested, servers, classes = network(options, model, folder), [], {}
        for rival, port in contestants(options, tested, folder):
            log = folder / f"{port}.log"
            servers.append(running.enter_context(started(rival, port, log)))
            classes[rival.name] = await_ready(servers[-1], log)
        for connections in map(int, options.connections.split(",")):
            rounds: dict[str, list[Load]] = {server.name: [] for server in servers}
            for _ in range(options.rounds):
                for server in servers:
                    rounds[server.name].append(load(server, connections, options.seconds))
            for server_name, loads in rounds.items():
                yield Row.of(tested.name, connections, server_name, loads)
        others = {server: found for server, found in classes.items() if found != classes[servers[0].name]}
        if others:
            print(f"{tested.name}: {servers[0].name} says class {classes[servers[0].name]}, others {others}", file=sys.stderr)


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(os.sched_getaffinity(0))} cores of {names[0] if names else platform.machine()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("graft", type=Path)
    parser.add_argument("photo", type=Path)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--servers", default="graft,fastapi", help=f"of graft, {', '.join(RIVALS)}")
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", default="1,2,4,8")
    parser.add_argument("--data-dir", type=Path, help="the data folder with the models that are no files")
    parser.add_argument("--figures", type=Path, help="the JSON file for the figures, and the load average before them")
    parser.add_argument("--chart", type=Path, help="the SVG file for a chart of them")
    options = parser.parse_args()
    date, before = datetime.date.today().isoformat(), f"{os.getloadavg()[0]:.1f}"
    figures = {"machine": processor(), "date": date, "load": before, "photo": options.photo.name, "rows": []}
    print("| network | connections | server | requests/s | p50 ms | CPU ms a request |\n|---|---|---|---|---|---|")
    for model in options.models:
        for row in measure(options, model):
            print(row.line(), flush=True)
            figures["rows"].append(asdict(row))
            # After each row, so that a run that is broken off leaves what it has measured.
            if options.figures:
                options.figures.write_text(json.dumps(figures, indent=1) + "\n")
    if options.chart:
        options.chart.write_text(server_chart.draw(figures))


if __name__ == "__main__":
    main()
