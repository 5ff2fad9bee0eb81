"""An upload of gigabytes, broken off when its server is killed half-way, resumed, and read: with times and memory.

    python tests/interop/check_upload.py GRAFT [--megabytes 2048]

Makes a zip of photographs of noise in a temporary folder, which needs three times that room. Not in `.ci/run`: the large one
takes minutes, and `tests/tests/datasets.rs` does the same with a small one.
"""

import argparse
import http.client
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from PIL import Image

TUS = {"Tus-Resumable": "1.0.0"}
PIECE = {**TUS, "Content-Type": "application/offset+octet-stream"}
CHUNK = 1 << 20
SIZE = (640, 480)
CLASSES = 17


def make_zip(path: Path, size: int) -> int:
    """Each file is another one: a comment behind the start marker makes other bytes of the same pixels."""
    photographs = []
    for seed in range(CLASSES):
        noise = Image.frombytes("L", (40, 30), bytes((seed * 37 + i * i) % 251 for i in range(1200)))
        file = io.BytesIO()
        noise.resize(SIZE, Image.Resampling.BICUBIC).convert("RGB").save(file, "JPEG", quality=95)
        photographs.append(file.getvalue())
    count, total = 0, 0
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        while total < size:
            number = str(count).encode()
            photograph = photographs[count % CLASSES]
            comment = b"\xff\xfe" + (len(number) + 2).to_bytes(2, "big") + number
            file = photograph[:2] + comment + photograph[2:]
            archive.writestr(f"set/class_{count % CLASSES:02}/{count:06}.jpg", file)
            count, total = count + 1, total + len(file)
    return count


class Server:
    def __init__(self, graft: Path, data: Path) -> None:
        command = [graft, "--data-dir", data, "serve", "--port", "0"]
        environment = {**os.environ, "GRAFT_LOG": "warn"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        (self.port,) = re.findall(r"http://[^:]+:(\d+)", self.process.stdout.readline())

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", int(self.port))

    def ask(self, method: str, path: str, headers: dict | None = None, body: str | None = None) -> tuple:
        connection = self.connect()
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def memory(self) -> str:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        now, most = (int(re.search(rf"{name}:\s+(\d+)", status)[1]) // 1024 for name in ("VmRSS", "VmHWM"))
        return f"{now} MiB, at most {most} MiB"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def send(connection: http.client.HTTPConnection, address: str, archive: Path, span: tuple[int, int]) -> None:
    """Declares the rest of the archive, and sends these bytes of it."""
    start, end = span
    connection.putrequest("PATCH", address)
    rest = archive.stat().st_size - start
    for name, value in {**PIECE, "Upload-Offset": str(start), "Content-Length": str(rest)}.items():
        connection.putheader(name, value)
    connection.endheaders()
    with archive.open("rb") as file:
        file.seek(start)
        while start < end:
            chunk = file.read(min(CHUNK, end - start))
            connection.send(chunk)
            start += len(chunk)


def expect(truth: bool, what: object) -> None:
    if not truth:
        sys.exit(f"FAILED: {what}")


def check(graft: Path, folder: Path, size: int) -> None:
    archive, data = folder / "photographs.zip", folder / "data"
    count, length = make_zip(archive, size), archive.stat().st_size
    print(f"{count} photographs, {length} bytes")
    server = Server(graft, data)
    print(f"memory before: {server.memory()}")
    server.ask("POST", "/datasets", {"Content-Type": "application/json"}, json.dumps({"name": "large"}))
    _, headers, _ = server.ask("POST", "/datasets/large/uploads", {**TUS, "Upload-Length": str(length)})
    address = headers["Location"]
    begun = time.monotonic()
    send(server.connect(), address, archive, (0, length // 2))
    print(f"first half: {time.monotonic() - begun:.1f} s; memory {server.memory()}")
    server.kill()

    server = Server(graft, data)
    _, headers, _ = server.ask("HEAD", address, TUS)
    offset = int(headers["Upload-Offset"])
    print(f"killed at byte {length // 2}, goes on at {offset}")
    expect(length // 2 - 64 * CHUNK <= offset <= length // 2, offset)
    begun = time.monotonic()
    connection = server.connect()
    send(connection, address, archive, (offset, length))
    expect(connection.getresponse().status == 204, "the rest is taken")
    print(f"the rest: {time.monotonic() - begun:.1f} s; memory {server.memory()}")
    begun = time.monotonic()
    while True:
        upload = json.loads(server.ask("GET", address)[2])
        if upload["state"] != "importing":
            break
        time.sleep(0.5)
    expect(upload["state"] == "imported" and upload["outcome"]["report"]["added"] == count, upload)
    seconds = time.monotonic() - begun
    print(f"read: {seconds:.1f} s, {count / seconds:.0f} images a second; memory {server.memory()}")
    begun = time.monotonic()
    expect(len(server.ask("GET", "/datasets/large/archive")[2]) > size, "the archive of all images")
    print(f"downloaded as a zip: {time.monotonic() - begun:.1f} s; memory {server.memory()}")
    server.kill()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("graft", type=Path, help="the program")
    parser.add_argument("--megabytes", type=int, default=2048)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="graft-upload-") as name:
        check(arguments.graft.resolve(), Path(name), arguments.megabytes << 20)
