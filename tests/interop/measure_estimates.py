"""How right the time estimates of fine-tunes are: that of the plan, and those that the running job gives.

    python tests/interop/measure_estimates.py GRAFT DATA_FOLDER IMAGES STRATEGY BASE...

For each stored base it plans a fine-tune, runs it on a server with the data folder, follows its events, and prints how far the
estimated total was from the real one: the plan's, the worst after the first tenth of the time, and those at some shares of it.
It needs nothing but Python. Cached features of the images are used; remove the folder `cache` to measure without.
"""

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from interop import await_ready, free_port

SHARES = (0.1, 0.25, 0.5, 0.75)


def ask(url: str, body: object = None) -> dict:
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json", "x-request-timeout-ms": "600000"}
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=600) as answer:
        return json.load(answer)


def follow(url: str) -> tuple[list[tuple[float, float]], float]:
    """When the job said how many seconds are left, and how long it took; from the first event of its process."""
    request = urllib.request.Request(url, headers={"accept": "text/event-stream"})
    start, said, name = None, [], ""
    with urllib.request.urlopen(request, timeout=3600) as stream:
        for line in stream:
            field, _, value = line.decode().strip().partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                now = time.monotonic()
                message = json.loads(value)
                if name == "event" and start is None:
                    start = now
                if name == "progress" and "seconds_left" in message and start is not None:
                    said.append((now - start, message["seconds_left"]))
                if name == "state" and message["state"] not in ("queued", "running"):
                    if message["state"] != "succeeded" or start is None:
                        sys.exit(f"FAILED: the fine-tune is {message['state']}")
                    return said, now - start
    sys.exit("FAILED: the stream ended before the job")


def measure(url: str, base: str, images: str, strategy: str) -> None:
    dataset = {"kind": "auto", "path": images}
    request = {"base_model": base, "name": "measured", "dataset": dataset, "options": {"strategy": strategy}}
    plan = ask(f"{url}/finetune/plan", request)
    job = ask(f"{url}/finetune", request)
    said, total = follow(f"{url}/finetune/{job['id']}/events")
    errors = [(at / total, (at + left) / total - 1) for at, left in said]
    worst = max((error for at, error in errors if at >= SHARES[0]), key=abs)
    at_shares = [next(error for at, error in errors if at >= share) for share in SHARES]
    columns = [f"{error:+.0%}" for error in (plan["seconds"] / total - 1, worst, *at_shares)]
    print(f"| {base} | `{strategy}` | {plan['cached']} | {total:.0f} s | " + " | ".join(columns) + " |", flush=True)


def main() -> None:
    graft, data, images, strategy, *bases = sys.argv[1:]
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [graft, "serve", "--data-dir", data, "--data-root", images, "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        await_ready(url, server)
        print("| base | strategy | cached images | took | plan | worst after a tenth | at 10 % | 25 % | 50 % | 75 % |")
        print("|---|---|---|---|---|---|---|---|---|---|")
        for base in bases:
            measure(url, base, str(Path(images).resolve()), strategy)
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
