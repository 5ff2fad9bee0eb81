"""The speed of a server's variants, over HTTP: which it chose, what it measured, and what clients get.

    python tests/interop/measure_variants.py URL MODEL PHOTOGRAPH...

The server runs, with a model that `graft quantize` has made variants of. For each variant, and for 1, 2, 4 and 8 connections, in
rounds that alternate so that all see the same machine, the script sends the photographs to `POST /classify/bytes` for some
seconds and prints requests a second, the median and the 95th percentile of the milliseconds, and the processor milliseconds that the
server's `/metrics` counted for a request. Above them it prints `plan` of `GET /models/MODEL`. Speed means something in a release
build on a quiet machine; the load average is printed.
"""

import json
import os
import statistics
import sys
import threading
import time
import urllib.request
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

CONNECTIONS = [1, 2, 4, 8]
ROUNDS = 5
SECONDS = 2.0


class Load:
    """So many connections that send photographs, one after another each, for some seconds."""

    def __init__(self, url: str, path: str, photographs: list[bytes]) -> None:
        self.url, self.path, self.photographs = url, path, photographs

    def run(self, connections: int) -> list[float]:
        """The milliseconds of each request."""
        end, times = time.perf_counter() + SECONDS, []
        threads = [threading.Thread(target=self.send, args=(first, end, times)) for first in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return times

    def send(self, first: int, end: float, times: list[float]) -> None:
        parts = urlsplit(self.url)
        connection = HTTPConnection(parts.hostname, parts.port)
        number = first
        while (start := time.perf_counter()) < end:
            body = self.photographs[number % len(self.photographs)]
            connection.request("POST", self.path, body, {"content-type": "application/octet-stream"})
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                raise SystemExit(f"{answer.status}: {text[:500].decode()}")
            times.append(1000 * (time.perf_counter() - start))
            number += 1


def processor_seconds(url: str) -> float:
    with urllib.request.urlopen(f"{url}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    found = [line for line in lines if line.startswith("process_cpu_seconds_total")]
    return float(found[0].split()[-1]) if found else float("nan")


def main() -> int:
    url, model, *files = sys.argv[1:]
    photographs = [Path(file).read_bytes() for file in files]
    with urllib.request.urlopen(f"{url}/models/{model}") as answer:
        plan = json.load(answer)["plan"]
    print(json.dumps(plan, indent=2))
    print(f"load average before: {os.getloadavg()[0]:.1f}")
    variants = [variant["variant"] for variant in plan["variants"]] or [plan["variant"]]
    loads = {name: Load(url, f"/classify/bytes?model={model}&variant={name}", photographs) for name in variants}
    for load in loads.values():
        # Has the variant loaded, and its threads started.
        load.run(1)
    for connections in CONNECTIONS:
        rates, times, costs = ({name: [] for name in variants} for _ in range(3))
        for _ in range(ROUNDS):
            for name, load in loads.items():
                before, start = processor_seconds(url), time.perf_counter()
                measured = load.run(connections)
                rates[name].append(len(measured) / (time.perf_counter() - start))
                costs[name].append(1000 * (processor_seconds(url) - before) / len(measured))
                times[name] += measured
        for name in variants:
            quantiles = statistics.quantiles(times[name], n=20)
            print(
                f"{connections} connections  {name:5} {statistics.median(rates[name]):7.1f} requests/s  "
                f"p50 {statistics.median(times[name]):7.2f} ms  p95 {quantiles[18]:7.2f} ms  "
                f"CPU {statistics.median(costs[name]):6.2f} ms"
            )
    print(f"load average behind: {os.getloadavg()[0]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
