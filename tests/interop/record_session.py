"""Records the first minute with graft as a picture: docs/first-minute.svg.

    python tests/interop/record_session.py target/release/graft docs/first-minute.svg

Runs the commands that a newcomer runs, in an empty folder and with an empty data folder, and draws what they print as a
terminal would show it. Needs the package `rich`, and curl.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 112


def main(program: Path, picture: Path) -> None:
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Printed paths are those of somebody whose home this is.
        environment = {"HOME": name, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "LANG": "C.UTF-8"}
        if library := os.environ.get("ORT_DYLIB_PATH"):
            environment["ORT_DYLIB_PATH"] = library
        (folder / "bin").mkdir()
        shutil.copy(program, folder / "bin" / "graft")

        def show(command: str) -> None:
            console.print(Text("$ ", style="bold green") + Text(command.replace(name, "/home/ada"), style="bold"))
            run = subprocess.run(
                ["sh", "-c", command], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            if run.returncode:
                sys.exit(f"FAILED: {command}: {run.stdout}")
            print_lines(run.stdout)

        def print_lines(text: str) -> None:
            # Progress is many lines where there is no terminal; a terminal shows the last of each kind.
            lines = text.rstrip().splitlines()
            for line, following in zip(lines, [*lines[1:], ""], strict=True):
                counts = line.split()[-1:] and "/" in line.split()[-1] and line.split()[-1].replace("/", "").isdigit()
                if counts and following.split()[:1] == line.split()[:1]:
                    continue
                console.print(Text(line.replace(name, "/home/ada")))

        show("graft demo")
        console.print()
        console.print(Text("$ ", style="bold green") + Text("graft serve --data-root graft-demo &", style="bold"))
        server = subprocess.Popen(
            [folder / "bin" / "graft", "serve", "--data-root", "graft-demo"],
            cwd=folder,
            env={**environment, "GRAFT_LOG": "error"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            greeting = [server.stdout.readline() for _ in range(6)]
            print_lines("".join(greeting))
            while subprocess.run([folder / "bin" / "graft", "health"], env=environment, capture_output=True).returncode:
                time.sleep(0.1)
            first = greeting[-1].removeprefix("try it:").strip()
            show(first + " --silent | head -c 330")
            console.print()
            show(
                "curl --silent localhost:8080/finetune --json '"
                f'{{"name": "things", "dataset": {{"kind": "folder", "path": "{folder}/graft-demo/pictures"}}}}'
                "' | head -c 190"
            )
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()
    picture.write_text(console.export_svg(title="graft"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
