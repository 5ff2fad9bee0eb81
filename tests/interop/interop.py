"""graft seen by other programs: what it exports, what it describes, what it answers.

    pip install -r tests/interop/requirements.txt
    cargo build --workspace --features server/grpc
    python tests/interop/interop.py --graft target/debug/graft

In a data folder of its own that is removed at the end:

1. decodes some hundreds of odd pictures, and compares each pixel with PIL's;
2. lets other programs judge every way in which graft writes an operator, and networks of the papers;
3. imports networks with every kind of end and start, and compares their scores with ONNX Runtime's;
4. imports a small classifier that another program wrote, exports it, and checks the file with ONNX's own tools;
5. compares docs/compose.yaml with the program's settings and with the Dockerfile;
6. generates clients from openapi/openapi.json, in Python and, where there is Node, in TypeScript;
7. for each engine starts the server on a free port, lets the clients classify, start a fine-tune, follow it and use its
   model, stops the server with SIGTERM, which must end it cleanly, and checks the fine-tuned model's file; before the
   last stop, the schema of fine-tunes is compared with what the server takes, and schemathesis sends some hundred requests,
   and every answer must be as described;
8. lets the clients of other services call a server: Triton's over HTTP and, if the program has it, over gRPC, Hugging Face's, Custom
   Vision's, Amazon's;
9. with real photographs in GRAFT_TEST_DATA, compares their classification with Python's, on both engines.

ONNX Runtime's library is the one of this Python, unless ORT_DYLIB_PATH names another.
"""

import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import onnxruntime

import tiny

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
# Generous: the binary may be a debug build on a busy machine.
START_SECONDS = 60
STOP_SECONDS = 20
ENGINES = ("ort", "tract")


def say(text: str) -> None:
    print(f"--- {text}", flush=True)


def run(*command: object, **environment: str) -> None:
    """Fails with the command's own words."""
    words = [str(word) for word in command]
    done = subprocess.run(words, check=False, env={**os.environ, **environment})
    if done.returncode != 0:
        sys.exit(f"FAILED with exit code {done.returncode}: {' '.join(words[:6])} …")


def python(script: str, *arguments: object, **environment: str) -> None:
    run(sys.executable, HERE / script, *arguments, **environment)


def library() -> str:
    """The shared library inside the Python package."""
    (found,) = (Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.*so*")
    return str(found)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def await_ready(url: str, server: subprocess.Popen) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            sys.exit(f"FAILED: the server ended with exit code {server.returncode} before it was ready")
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            with urllib.request.urlopen(f"{url}/health/ready", timeout=2) as answer:
                if answer.status == 200:
                    return
        time.sleep(0.1)
    sys.exit(f"FAILED: the server was not ready after {START_SECONDS} s")


@contextlib.contextmanager
def serving(graft: Path, data: Path, engine: str) -> Iterator[str]:
    """A server on a free port; it must end by itself, with exit code 0, when it is asked to."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    log = data.with_name("server.log")
    # The disk need not have room for the largest upload that schemathesis thinks of.
    command = [graft, "serve", "--data-dir", data, "--data-root", data.parent, "--engine", engine, "--max-upload-gb", "1"]
    with log.open("w") as output:
        server = subprocess.Popen(
            [*command, "--port", str(port)],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    done = False
    try:
        await_ready(url, server)
        yield url
        started = time.monotonic()
        server.send_signal(signal.SIGTERM)
        code = server.wait(STOP_SECONDS)
        print(f"SIGTERM: ended with exit code {code} after {time.monotonic() - started:.1f} s")
        if code != 0:
            sys.exit(f"FAILED: exit code {code} after SIGTERM, expected 0")
        done = True
    except subprocess.TimeoutExpired:
        sys.exit(f"FAILED: the server was still there {STOP_SECONDS} s after SIGTERM")
    finally:
        if not done:
            server.kill()
            server.wait()
            print(f"the server's log:\n{log.read_text()}", file=sys.stderr)


def fuzz(url: str, folder: Path) -> None:
    """Requests made from the description, valid and not: no 500, and no status, type or body that is not described.

    The one check that is left out wants everything that fits the description to be accepted; no description can say
    which bytes are an image, or which folders there are.
    """
    command = [str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(HERE / "schemathesis.toml")]
    command += ["run", f"{url}/openapi.json"]
    command += ["--exclude-checks", "positive_data_acceptance", "--max-examples", "25", "--seed", "0"]
    done = subprocess.run(command, check=False, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f"FAILED: schemathesis\n{done.stdout}")
    (count,) = (line.strip() for line in done.stdout.splitlines() if " generated, " in line)
    print(f"schemathesis: {count}")


def import_tiny(graft: Path, folder: Path, data: Path) -> None:
    command = (graft, "import", folder / "tiny.onnx", "--name", "tiny", "--labels", folder / "labels.txt")
    run(*command, "--data-dir", data)


def export(graft: Path, data: Path, model: str, file: Path, opset: int = 17) -> None:
    """Writes the model and checks what was written."""
    run(graft, "export", "--model", model, "--out", file, "--opset", opset, "--data-dir", data)
    python("check_onnx.py", "--opset", opset, file)


def photographs(graft: Path, folder: Path, imagenet: Path) -> None:
    data = folder / "photographs"
    original = imagenet / "squeezenet1.1_imagenet.onnx"
    labels = imagenet / "synset_words.txt"
    run(graft, "import", original, "--name", "squeezenet", "--labels", labels, "--data-dir", data)
    python("check_photographs.py", graft, data, "squeezenet", original, *sorted(imagenet.glob("samples/*.JPEG")))
    export(graft, data, "squeezenet", folder / "squeezenet.onnx")
    run(graft, "import", imagenet / "resnet50v2_backbone_stage3.onnx", "--name", "backbone", "--data-dir", data)
    export(graft, data, "backbone", folder / "backbone.onnx")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graft", type=Path, required=True, help="the program")
    graft = parser.parse_args().graft.resolve()
    os.environ.setdefault("ORT_DYLIB_PATH", library())
    # The checks count the models that they have put there.
    os.environ.setdefault("GRAFT_NO_STARTER", "true")
    test_data = Path(os.environ.get("GRAFT_TEST_DATA") or REPOSITORY.parent / "shared" / "data")
    with tempfile.TemporaryDirectory(prefix="graft-interop-") as name:
        folder = Path(name)
        tiny.main(folder)

        say("odd pictures: PIL's pixels")
        python("check_images.py", graft.parent / "examples" / "decode")

        say("every operator and some networks: ONNX's checker, ONNX Runtime, OpenVINO, the reference implementation")
        run(graft.parent / "examples" / "export_samples", folder / "samples")
        python("check_samples.py", folder / "samples")

        say("what inputs and outputs mean: ONNX Runtime's scores")
        python("check_model_ends.py", graft)

        say("a classifier of another program: import, export, ONNX's own tools")
        data = folder / "tiny"
        run(graft, "runtime", "show", "--data-dir", data)
        import_tiny(graft, folder, data)
        for opset in (13, 17, 20):
            export(graft, data, "tiny", folder / f"tiny{opset}.onnx", opset)
        run(graft, "check", folder / "tiny.onnx", folder / "tiny17.onnx", "--data-dir", data)

        say("docs/compose.yaml: the program's settings and the Dockerfile's folders")
        python("check_compose.py", graft)

        say("clients generated from openapi/openapi.json")
        client = folder / "client"
        description = REPOSITORY / "openapi" / "openapi.json"
        python("client/generate.py", description, client)
        typescript = folder / "typescript"
        typescript.mkdir()
        if shutil.which("npm"):
            python("client/typescript.py", description, typescript)
        else:
            say("a client in TypeScript: SKIPPED, there is no npm")
        for engine in ENGINES:
            say(f"the client and a server with {engine}")
            data = folder / engine
            import_tiny(graft, folder, data)
            with serving(graft, data, engine) as url:
                python("client/use_client.py", url, engine, folder / "colours", PYTHONPATH=str(client))
                if (typescript / "out").is_dir():
                    run("node", typescript / "out" / "use_client.js", url, folder / "colours")
                if engine == ENGINES[-1]:
                    python("check_schema.py", url)
                    fuzz(url, folder)
            export(graft, data, "colours", folder / f"colours-{engine}.onnx")

        say("clients of other services")
        python("check_clients.py", graft, folder)
        python("check_grpc.py", graft, folder)

        if (test_data / "imagenet").is_dir():
            say("real photographs")
            photographs(graft, folder, test_data / "imagenet")
        else:
            say("real photographs: SKIPPED, there is no GRAFT_TEST_DATA")
    say("interop: everything holds")


if __name__ == "__main__":
    main()
