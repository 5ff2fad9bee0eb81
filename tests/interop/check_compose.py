"""What docs/compose.yaml says, against the program and the Dockerfile.

    python check_compose.py GRAFT

No engine for containers is needed: the settings are given to `graft config`, and the folders, the port and the times are
compared with what it and the Dockerfile say.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def check(holds: bool, what: str) -> None:
    if not holds:
        sys.exit(f"FAILED: docs/compose.yaml: {what}")


def dockerfile(instruction: str) -> str:
    text = (REPOSITORY / "Dockerfile").read_text().replace("\\\n", " ")
    return "\n".join(line for line in text.splitlines() if line.startswith(instruction))


def config(graft: Path, environment: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Value and source of each setting that is in force."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GRAFT_")}
    command = [graft, "config"]
    done = subprocess.run(command, check=False, env={**inherited, **environment}, capture_output=True, text=True)
    check(done.returncode == 0, f"graft config: {done.stderr}")
    lines = (re.fullmatch(r"(\S+) = (.*?)  # (.*)", line) for line in done.stdout.splitlines())
    return {line[1]: (line[2].strip('"'), line[3]) for line in lines if line}


def main() -> None:
    graft = Path(sys.argv[1]).resolve()
    compose = yaml.safe_load((REPOSITORY / "docs" / "compose.yaml").read_text())
    service = compose["services"]["graft"]
    check((REPOSITORY / "docs" / service["build"] / "Dockerfile").is_file(), "`build` names no folder with a Dockerfile")

    settings = config(graft, service["environment"])
    for variable in service["environment"]:
        sources = [source for _, source in settings.values()]
        check(f"environment {variable}" in sources, f"{variable} is no variable of graft")

    (secret,) = service["secrets"]
    check(secret in compose["secrets"], f"the secret {secret} is not defined")
    check(settings["keys"][0] == f"/run/secrets/{secret}", "the server's file of keys is not the secret")
    with tempfile.TemporaryDirectory() as folder:
        key = subprocess.run([graft, "key", "new", "--name", "a", "--role", "infer"], check=True, capture_output=True)
        keys = Path(folder) / "keys"
        keys.write_bytes(key.stdout.splitlines()[-1].split(b": ")[1] + b"\n")
        check(keys.read_text().startswith("a infer "), "`graft key new` prints no line for the file of keys")

    mounts = dict(volume.split(":", 1) for volume in service["volumes"])
    roots = [place.removesuffix(":ro") for place in mounts.values() if place.endswith(":ro")]
    check(settings["data-root"][0] == str(roots).replace("'", '"'), "the data roots are not the read-only mounts")
    (data,) = (source for source, place in mounts.items() if f"GRAFT_DATA_DIR={place}" in dockerfile("ENV"))
    check(data in compose["volumes"], "the data folder is no named volume")

    (port,) = service["ports"]
    container_port = port.split(":")[-1]
    check(f"EXPOSE {container_port}" in dockerfile("EXPOSE"), "the port is not the Dockerfile's")
    check(settings["port"][0] == container_port, "the port is not the server's")

    seconds = sum(int(settings[name][0]) for name in ("drain-delay-seconds", "drain-seconds"))
    check(int(service["stop_grace_period"].removesuffix("s")) > seconds, "the server needs longer to stop")
    kind, *command = service["healthcheck"]["test"]
    check(kind == "CMD" and command[0] == "graft", "the health check is no command of graft")
    done = subprocess.run([graft, *command[1:], "--help"], check=False, capture_output=True)
    check(done.returncode == 0, "graft has no such command for health checks")
    print("docs/compose.yaml: settings, secret, mounts, port, times and health check are the program's")


if __name__ == "__main__":
    main()
