"""Makes a TypeScript client from the OpenAPI description, as a user would, and runs `use_client.ts` with it.

    python tests/interop/client/typescript.py openapi/openapi.json FOLDER
    node FOLDER/out/use_client.js URL DATASET

writes the client into FOLDER/graft_client and compiles it with `use_client.ts` by TypeScript's compiler, in its strict mode. Needs
Node 20 with npm, which installs what `package-lock.json` pins.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from generate import generator

HERE = Path(__file__).resolve().parent
FILES = ("use_client.ts", "package.json", "package-lock.json", "tsconfig.json")


def run(*command: str, folder: Path) -> None:
    done = subprocess.run(command, check=False, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stdout}\nexit code {done.returncode}")


def main(description: Path, folder: Path) -> None:
    generator(
        "generate",
        *("--input-spec", str(description), "--generator-name", "typescript-fetch"),
        *("--output", str(folder / "graft_client"), "--additional-properties", "importFileExtension=.js"),
    )
    for name in FILES:
        shutil.copy(HERE / name, folder)
    run("npm", "ci", "--no-audit", "--no-fund", folder=folder)
    run("npx", "tsc", folder=folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
