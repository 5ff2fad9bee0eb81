"""Other servers of the same ONNX file, for `compare_servers.py`: FastAPI, LitServe and Triton, each with ONNX Runtime.

Each has as many processes as there are processors, with a session of one thread in each, and prepares images as torchvision does:
Pillow decodes, resizes the shorter side to 256, and crops 224x224. Triton is the one inside NVIDIA's package nvidia-pytriton, with
a model in its Python backend.
"""

import importlib.util
import json
import os
import shutil
import struct
import sys
import sysconfig
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

PROCESSES = os.cpu_count() or 1

CLASSIFIER = """
    import io
    import os

    import numpy
    import onnxruntime
    from PIL import Image

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    # What graft exports subtracts and divides itself.
    normalized = os.environ["PIXELS"] == "normalized"
    mean = numpy.array([0.485, 0.456, 0.406] if normalized else [0, 0, 0], numpy.float32)
    deviation = numpy.array([0.229, 0.224, 0.225] if normalized else [1, 1, 1], numpy.float32)


    def scores(file):
        image = Image.open(io.BytesIO(file)).convert("RGB")
        scale = 256 / min(image.size)
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.BILINEAR)
        left, top = (image.width - 224) // 2, (image.height - 224) // 2
        image = image.crop((left, top, left + 224, top + 224))
        pixels = numpy.asarray(image, numpy.float32)
        pixels = (pixels / 255 - mean) / deviation if normalized else pixels
        logits = session.run(None, {name: pixels.transpose(2, 0, 1)[None]})[0][0]
        scores = numpy.exp(logits - logits.max())
        return scores / scores.sum()


    def best(file):
        found = scores(file)
        return [{"class": int(best), "score": float(found[best])} for best in found.argsort()[::-1][:5]]
"""
FASTAPI = """
    from classifier import best
    from fastapi import FastAPI, Request

    app = FastAPI()


    @app.post("/classify/bytes")
    async def classify(request: Request):
        return best(await request.body())
"""
LITSERVE = """
    import sys

    import litserve


    class Classifier(litserve.LitAPI):
        def setup(self, device):
            from classifier import best

            self.best = best

        def decode_request(self, request):
            return request["content"].file.read()

        def predict(self, file):
            return self.best(file)

        def encode_response(self, output):
            return output


    if __name__ == "__main__":
        server = litserve.LitServer(Classifier(), accelerator="cpu", workers_per_device=int(sys.argv[2]))
        server.run(host="127.0.0.1", port=int(sys.argv[1]), num_api_servers=1, generate_client_file=False, log_level="error")
"""
TRITON = """
    import os
    import sys

    sys.path[:0] = [os.environ["SITE_PACKAGES"], os.environ["FOLDER"]]
    import triton_python_backend_utils as utils
    from classifier import scores


    class TritonPythonModel:
        def execute(self, requests):
            return [self.answer(utils.get_input_tensor_by_name(request, "image")) for request in requests]

        def answer(self, image):
            return utils.InferenceResponse([utils.Tensor("scores", scores(image.as_numpy()[0]))])
"""
TRITON_CONFIGURATION = """
    name: "model"
    backend: "python"
    max_batch_size: 0
    input [ { name: "image" data_type: TYPE_STRING dims: [ 1 ] } ]
    output [ { name: "scores" data_type: TYPE_FP32 dims: [ -1 ] } ]
    instance_group [ { kind: KIND_CPU count: PROCESSES } ]
"""


@dataclass
class Request:
    """What a client sends for one image."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Rival:
    """How a server is started, and how it is asked."""

    name: str
    command: list[str]
    request: Request
    environment: dict[str, str] = field(default_factory=dict)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))


def raw(image: bytes, path: str = "/classify/bytes") -> Request:
    return Request(path, {"content-type": "application/octet-stream"}, image)


def fastapi(folder: Path, image: bytes, port: int) -> Rival:
    write(folder / "application.py", FASTAPI)
    command = [sys.executable, "-m", "uvicorn", "application:app", "--app-dir", str(folder), "--log-level", "error"]
    return Rival("FastAPI", [*command, "--port", str(port), "--workers", str(PROCESSES)], raw(image))


def litserve(folder: Path, image: bytes, port: int) -> Rival:
    write(folder / "lit.py", LITSERVE)
    # Its default way in takes JSON and forms.
    boundary = "image-of-compare-servers"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="content"; filename="image.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    body = head.encode() + image + f"\r\n--{boundary}--\r\n".encode()
    request = Request("/predict", {"content-type": f"multipart/form-data; boundary={boundary}"}, body)
    return Rival("LitServe", [sys.executable, str(folder / "lit.py"), str(port), str(PROCESSES)], request)


def triton(folder: Path, image: bytes, port: int) -> Rival:
    package = importlib.util.find_spec("pytriton")
    if not package or not package.submodule_search_locations:
        sys.exit("FAILED: Triton is in the package nvidia-pytriton: pip install nvidia-pytriton, or leave it out of --servers")
    site_packages = Path(package.submodule_search_locations[0]).parent
    own = site_packages / "pytriton" / "tritonserver"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    backends, model = folder / "backends", folder / "repository" / "model"
    shutil.copytree(own / "backends" / "python", backends / "python")
    shutil.copy(own / "python_backend_stubs" / version / "triton_python_backend_stub", backends / "python")
    write(model / "1" / "model.py", TRITON)
    write(model / "config.pbtxt", TRITON_CONFIGURATION.replace("PROCESSES", str(PROCESSES)))
    command = [str(own / "bin" / "tritonserver"), "--model-repository", str(folder / "repository"), "--backend-directory", str(backends)]
    command += ["--http-port", str(port), "--allow-grpc", "false", "--allow-metrics", "false", "--log-info", "false"]
    libraries = f"{site_packages / 'nvidia_pytriton.libs'}:{sysconfig.get_config_var('LIBDIR')}"
    environment = {"SITE_PACKAGES": str(site_packages), "FOLDER": str(folder), "LD_LIBRARY_PATH": libraries}
    content = struct.pack("<I", len(image)) + image
    described = {"name": "image", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(content)}}
    head = json.dumps({"inputs": [described], "outputs": [{"name": "scores", "parameters": {"binary_data": True}}]}).encode()
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(head))}
    request = Request("/v2/models/model/infer", headers, head + content)
    return Rival("Triton", command, request, environment)


RIVALS = {"fastapi": fastapi, "litserve": litserve, "triton": triton}
