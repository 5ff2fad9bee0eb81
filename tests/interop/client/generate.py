"""Makes a Python client from the OpenAPI description, as a user would.

    python tests/interop/client/generate.py openapi/openapi.json FOLDER

Checks the description first (openapi-spec-validator, and openapi-generator's own, which is stricter about references),
then writes the package `graft_client` into FOLDER. Nothing of it is changed by hand.
"""

import compileall
import json
import subprocess
import sys
from pathlib import Path

from openapi_spec_validator import validate

PACKAGE = "graft_client"


def generator(*arguments: str) -> None:
    """openapi-generator, quiet unless it fails."""
    command = [str(Path(sys.executable).parent / "openapi-generator-cli"), *arguments]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stdout}\nexit code {done.returncode}")


def generate(description: Path, folder: Path) -> None:
    validate(json.loads(description.read_text()))
    generator("validate", "--input-spec", str(description))
    generator(
        "generate",
        *("--input-spec", str(description), "--generator-name", "python", "--output", str(folder)),
        *("--package-name", PACKAGE, "--global-property", "apiTests=false,modelTests=false"),
    )
    if not compileall.compile_dir(folder / PACKAGE, quiet=1):
        sys.exit("the generated client is not valid Python")


if __name__ == "__main__":
    generate(Path(sys.argv[1]), Path(sys.argv[2]))
