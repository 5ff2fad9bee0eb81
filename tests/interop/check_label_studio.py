"""Whether Label Studio's own client code gets on with graft as its ML backend.

    pip download --no-deps label-studio==1.23.2
    python tests/interop/check_label_studio.py target/debug/graft label_studio-1.23.2-py3-none-any.whl

Loads `ml/api_connector.py` out of the wheel, which is all that Label Studio says to a backend, with stand-ins for the parts of
Django that it names; needs `requests`. A small server has annotated tasks and their images, as Label Studio's API gives them.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import types
import urllib.request
import zipfile
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import tiny
from interop import await_ready, free_port, import_tiny, library, say

PATIENCE = 120
TOKEN = "0123456789abcdef"
PROJECT = {"id": 7, "title": "Colours"}
CONFIG = """<View>
  <Image name="image" value="$image"/>
  <Choices name="choice" toName="image"><Choice value="red"/><Choice value="green"/><Choice value="blue"/></Choices>
</View>"""


def module(name: str, **members: object) -> None:
    """A stand-in for a module that is not there."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        sys.modules.setdefault(".".join(parts[:end]), types.ModuleType(parts[end - 1]))
    vars(sys.modules[name]).update(members)


def connector(wheel: Path, folder: Path):
    """Label Studio's client, from its wheel."""
    file = folder / "api_connector.py"
    with zipfile.ZipFile(wheel) as archive:
        file.write_bytes(archive.read("label_studio/ml/api_connector.py"))
    serializer = lambda instance: types.SimpleNamespace(data=PROJECT | {"label_config": CONFIG})
    settings = types.SimpleNamespace(
        HOSTNAME="", INTERNAL_PORT="8080", ML_BLOCK_LOCAL_IP=False, WEBHOOK_SERIALIZERS={"project": serializer}
    )
    module("core.feature_flags", flag_set=lambda *_: True)
    module("core.utils.common", load_func=lambda function: function)
    module("core.utils.exceptions", SsrfBlockedUrlError=type("SsrfBlockedUrlError", (Exception,), {}))
    module("core.utils.io", SsrfSafeHTTPAdapter=None)
    module("core.version", get_git_version=lambda: "1.23.2")
    module("data_export.serializers", ExportDataSerializer=None)
    module("django.conf", settings=settings)
    module("django.contrib.auth.models", AnonymousUser=object)
    module("django.db.models", Count=None)
    module("label_studio.core.utils.params", get_env=lambda _name, default=None: default)
    spec = importlib.util.spec_from_file_location("api_connector", file)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def label_studio(images: Path) -> ThreadingHTTPServer:
    """The two addresses of Label Studio that a backend asks."""

    def task(number: int, file: Path) -> dict:
        choice = {"from_name": "choice", "to_name": "image", "type": "choices", "value": {"choices": [file.parent.name]}}
        data = {"image": f"/data/upload/7/{file.relative_to(images)}"}
        return {"id": number, "data": data, "annotations": [{"id": number, "was_cancelled": False, "result": [choice]}]}

    tasks = [task(number, file) for number, file in enumerate(sorted(images.glob("*/*.png")))]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b""
            if self.headers["authorization"] != f"Token {TOKEN}":
                status = 401
            elif self.path == "/api/projects/7/export?exportType=JSON":
                status, body = 200, json.dumps(tasks).encode()
            elif (file := images / self.path.removeprefix("/data/upload/7/")).is_file():
                status, body = 200, file.read_bytes()
            else:
                status = 404
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def ok(result, what: str) -> dict:
    if result.is_error:
        sys.exit(f"FAILED: {what}: {result.status_code} {result.response}")
    return result.response


def await_training(url: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"{url}/models") as answer:
            names = [model["name"] for model in json.load(answer)["data"] if model["state"] == "READY"]
        if "colours" in names:
            return
        time.sleep(0.3)
    sys.exit("FAILED: no model was trained")


def main() -> None:
    graft, wheel = (Path(argument).resolve() for argument in sys.argv[1:])
    os.environ.setdefault("ORT_DYLIB_PATH", library())
    with tempfile.TemporaryDirectory(prefix="graft-label-studio-") as name:
        folder = Path(name)
        tiny.main(folder)
        images, data = folder / "colours", folder / "data"
        import_tiny(graft, folder, data)
        studio, port = label_studio(images), free_port()
        url = f"http://127.0.0.1:{port}"
        flags = ["--label-studio-url", f"http://127.0.0.1:{studio.server_port}", "--label-studio-base", "tiny"]
        command = [graft, "serve", "--data-dir", data, "--port", str(port), *flags, "--label-studio-token", TOKEN]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            await_ready(url, server)
            api = connector(wheel, folder).MLApi(url=f"{url}/label-studio/colours", basic_auth_user="key", basic_auth_pass="any")
            author = types.SimpleNamespace(auth_token=types.SimpleNamespace(key="of another"))
            project = types.SimpleNamespace(
                id=7, created_at=datetime(2026, 11, 29, tzinfo=UTC), label_config=CONFIG, created_by=author,
                task_data_login=None, task_data_password=None,
            )
            say("health and setup, before there is a model")
            assert ok(api.health(), "health")["status"] == "UP"
            assert ok(api.setup(project), "setup") == {"model_version": ""}
            say("start training")
            ok(api.train(project), "train")
            await_training(url)
            assert ok(api.setup(project), "setup") == {"model_version": "colours-1"}
            say("predictions")
            files = [next((images / colour).glob("*.png")) for colour in ("red", "green", "blue")]
            tasks = [{"id": number, "data": {"image": f"/data/upload/7/{file.relative_to(images)}"}} for number, file in enumerate(files)]
            results = ok(api.make_predictions(tasks, project), "predict")["results"]
            chosen = [result["result"][0]["value"]["choices"] for result in results]
            assert chosen == [["red"], ["green"], ["blue"]], results
            assert all(0 < result["score"] <= 1 and result["model_version"] == "colours-1" for result in results), results
        finally:
            server.terminate()
            server.wait()
    say("Label Studio: everything holds")


if __name__ == "__main__":
    main()
