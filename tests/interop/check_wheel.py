"""That one `pip install` of the wheel gives graft and ONNX Runtime.

    python check_wheel.py WHEEL

Makes an empty virtual environment, installs the wheel and what it depends on from the package index, and runs `graft demo`
there, in an empty folder, with an empty home and with no variable that names a library. What answers must be ONNX Runtime,
in the version that the environment has, and only as long as the environment has it.
"""

import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

PACKAGE = "onnxruntime"


def check(holds: bool, what: str) -> None:
    if not holds:
        sys.exit(f"FAILED: the wheel: {what}")


class Installation:
    """An environment with the wheel in it, in a folder that is the home of its user."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = folder / "environment" / "bin"
        venv.create(self.programs.parent, with_pip=True)

    def pip(self, *arguments: str) -> None:
        pip = [self.programs / "python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *arguments], check=True)

    def version(self, package: str) -> str:
        program = f"import importlib.metadata as m; print(m.version({package!r}))"
        return subprocess.run([self.programs / "python", "-c", program], check=True, capture_output=True, text=True).stdout.strip()

    def graft(self, *arguments: str) -> str:
        # The system's Python, which may have the package too, is not on the path.
        environment = {"HOME": str(self.folder), "PATH": str(self.programs), "LANG": "C.UTF-8"}
        command = [self.programs / "graft", *arguments]
        done = subprocess.run(command, check=False, cwd=self.folder, env=environment, capture_output=True, text=True)
        check(done.returncode == 0, f"graft {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr


def main(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for license in ["LICENSE-APACHE", "LICENSE-MIT"]:
        check(any(name.endswith(f"/licenses/{license}") for name in names), f"{license} is not in it")

    with tempfile.TemporaryDirectory() as name:
        installed = Installation(Path(name))
        installed.pip("install", str(wheel))
        version = installed.version(PACKAGE)
        engine = f"ONNX Runtime {version} found in the Python environment of this program"
        shown = installed.graft("runtime", "show")
        check(engine in shown, f"the engine is not that of the environment, {version}: {shown}")
        demonstration = installed.graft("demo")
        check("test top-1" in demonstration and engine in demonstration, f"the demonstration: {demonstration}")
        print(f"{wheel.name}: {shown.splitlines()[0]}; `graft demo` works")

        installed.pip("uninstall", "--yes", PACKAGE)
        shown = installed.graft("runtime", "show")
        check(engine not in shown, f"it is found without the package too: {shown}")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
