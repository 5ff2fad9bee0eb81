"""Whether other services' clients get on with graft as it is.

    python tests/interop/check_clients.py target/debug/graft FOLDER

FOLDER has what tiny.py writes. Starts a server that asks for keys, with the model `tiny`, and calls it with

- `tritonclient` (NVIDIA): health, metadata, configuration, statistics, repository, inference in JSON and in bytes, with pixels and with
  whole JPEG files, classes, compression;
- `huggingface_hub`: `InferenceClient.image_classification`;
- `azure-cognitiveservices-vision-customvision`: `classify_image`;
- `boto3`: `invoke_endpoint` of SageMaker;
- the bytes that Vertex AI, TensorFlow Serving and TorchServe document.

What must come out is computed here: PIL resizes and crops, ONNX Runtime runs the file, Python takes the softmax.
"""

import base64
import io
import json
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import boto3
import numpy as np
import onnxruntime
import tritonclient.http as triton
from azure.cognitiveservices.vision.customvision.prediction import CustomVisionPredictionClient
from azure.cognitiveservices.vision.customvision.prediction.models import CustomVisionErrorException
from botocore.config import Config
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError
from interop import import_tiny, library, serving
from msrest.authentication import ApiKeyCredentials
from PIL import Image
from tritonclient.utils import InferenceServerException

import tiny

SIDE = tiny.SIDE
# The torchvision preset of an image of 32 pixels, which `graft import` takes where a file says nothing.
SHORTER = round(SIDE * 256 / 224)
MEAN = np.array([0.485, 0.456, 0.406], np.float32).reshape(3, 1, 1)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32).reshape(3, 1, 1)
# The same weights on the same runtime, normalized within the file and before it.
TOLERANCE = 1e-4


def expect(holds: bool, what: str) -> None:
    if not holds:
        sys.exit(f"FAILED: {what}")


def close(found, expected, what: str) -> None:
    found = np.asarray(found, np.float64)
    expect(found.shape == np.shape(expected), f"{what}: the shape is {found.shape}, not {np.shape(expected)}")
    difference = float(np.abs(found - expected).max())
    expect(difference < TOLERANCE, f"{what}: {found} is not {expected}")


def prepared(picture: bytes) -> np.ndarray:
    """The pixels that torchvision's preset makes of a file: `[3, 32, 32]`, 0 to 255."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    width, height = image.size
    scale = SHORTER / min(width, height)
    image = image.resize((int(width * scale), int(height * scale)), Image.Resampling.BILINEAR)
    left, top = (round((side - SIDE) / 2) for side in image.size)
    image = image.crop((left, top, left + SIDE, top + SIDE))
    return np.asarray(image, np.float32).transpose(2, 0, 1)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64) - logits.max())
    return powers / powers.sum()


class Reference:
    """The network as ONNX Runtime runs it."""

    def __init__(self, file: Path) -> None:
        self.session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        normalized = (pixels / np.float32(255) - MEAN) / DEVIATION
        return self.session.run(None, {"image": normalized[np.newaxis]})[0][0]

    def scores(self, picture: bytes) -> np.ndarray:
        return softmax(self.logits(prepared(picture)))

    def ranked(self, picture: bytes) -> list[tuple[str, float]]:
        scores = self.scores(picture)
        return [(tiny.LABELS[place], scores[place]) for place in np.argsort(-scores)]


def refused(kind: type, call, *arguments, **named) -> Exception:
    try:
        call(*arguments, **named)
    except kind as error:
        return error
    sys.exit(f"FAILED: {call.__name__} is refused with {kind.__name__}")


def check_triton_server(client: triton.InferenceServerClient, headers: dict) -> None:
    expect(client.is_server_live(headers) and client.is_server_ready(headers), "the server is live and ready")
    expect(client.is_model_ready("tiny", headers=headers), "tiny is ready")
    expect(client.is_model_ready("tiny", "1", headers=headers), "version 1 of tiny is ready")
    expect(not client.is_model_ready("nobody", headers=headers), "there is no model `nobody`")
    extensions = client.get_server_metadata(headers)["extensions"]
    expect({"binary_tensor_data", "classification", "statistics"} <= set(extensions), f"extensions: {extensions}")
    inputs = {tensor["name"]: tensor for tensor in client.get_model_metadata("tiny", headers=headers)["inputs"]}
    expect(inputs["input"]["shape"] == [-1, 3, SIDE, SIDE], f"the input's shape: {inputs}")
    config = client.get_model_config("tiny", headers=headers)
    expect(config["input"][0]["dims"] == [3, SIDE, SIDE] and config["max_batch_size"] > 0, f"configuration: {config}")
    index = client.get_model_repository_index(headers)
    expect([(entry["name"], entry["state"]) for entry in index] == [("tiny", "READY")], f"repository: {index}")


def tensor(name: str, values: np.ndarray, datatype: str, binary: bool) -> triton.InferInput:
    given = triton.InferInput(name, list(values.shape), datatype)
    given.set_data_from_numpy(values, binary_data=binary)
    return given


def check_triton(url: str, key: str, pictures: list[bytes], reference: Reference) -> None:
    client = triton.InferenceServerClient(url.removeprefix("http://"))
    # The client writes into the headers that it is given.
    headers = lambda: {"Authorization": f"Bearer {key}"}
    check_triton_server(client, headers())
    pixels = np.stack([prepared(picture) for picture in pictures])
    expected = np.stack([reference.logits(image) for image in pixels])
    for binary in (True, False):
        for coding in (None, "gzip", "deflate"):
            outputs = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("logits", "probabilities")]
            answer = client.infer(
                "tiny",
                [tensor("input", pixels, "FP32", binary)],
                outputs=outputs,
                request_id="7",
                headers=headers(),
                request_compression_algorithm=coding,
                response_compression_algorithm=coding,
            )
            what = f"tritonclient, binary {binary}, {coding}"
            close(answer.as_numpy("logits"), expected, what)
            close(answer.as_numpy("probabilities"), np.stack([softmax(row) for row in expected]), what)
            expect(answer.get_response()["id"] == "7", f"{what}: the id comes back")
    # Whole files, as bytes and in base64. Named outputs are the client's wish for bytes of its own accord.
    files = np.array(pictures, dtype=np.object_)
    answer = client.infer("tiny", [tensor("image", files, "BYTES", True)], headers=headers())
    close(answer.as_numpy("probabilities"), [reference.scores(picture) for picture in pictures], "whole files")
    encoded = np.array([base64.b64encode(picture) for picture in pictures], dtype=np.object_)
    answer = client.infer("tiny", [tensor("image", encoded, "BYTES", False)], headers=headers())
    close(answer.as_numpy("probabilities"), [reference.scores(picture) for picture in pictures], "files in base64")
    best = [triton.InferRequestedOutput("probabilities", class_count=2)]
    answer = client.infer("tiny", [tensor("image", files[:1], "BYTES", True)], outputs=best, headers=headers())
    texts = [text.decode().split(":") for text in answer.as_numpy("probabilities")[0]]
    ranked = reference.ranked(pictures[0])[:2]
    expect([label for _, _, label in texts] == [label for label, _ in ranked], f"classes: {texts}, not {ranked}")
    close([float(value) for value, _, _ in texts], [score for _, score in ranked], "scores of classes")

    error = refused(InferenceServerException, client.infer, "nobody", [tensor("input", pixels, "FP32", True)], headers=headers())
    expect(error.status() == "404" and "there is no model `nobody`" in error.message(), f"an unknown model: {error}")
    normalized = (pixels / 255 - MEAN) / DEVIATION
    error = refused(InferenceServerException, client.infer, "tiny", [tensor("input", normalized, "FP32", True)], headers=headers())
    expect("send pixels from 0 to 255" in error.message(), f"normalized pixels: {error}")
    error = refused(InferenceServerException, client.infer, "tiny", [tensor("input", pixels, "FP32", True)])
    expect(error.status() == "401", f"without a key: {error}")
    (sums,) = client.get_inference_statistics("tiny", headers=headers())["model_stats"]
    images = 6 * len(pictures) + 2 * len(pictures) + 1
    expect(sums["inference_count"] == images, f"{images} images are counted: {sums}")
    print(f"tritonclient: {images} images by JSON, bytes, gzip and deflate; {sums['execution_count']} runs")


def check_triton_repository(url: str, key: str) -> None:
    """Unloads and loads a model; needs a key of an administrator."""
    client = triton.InferenceServerClient(url.removeprefix("http://"))
    headers = lambda: {"Authorization": f"Bearer {key}"}
    client.unload_model("tiny", headers=headers())
    expect(not client.is_model_ready("tiny", headers=headers()), "a model that is unloaded is not ready")
    (entry,) = client.get_model_repository_index(headers())
    expect((entry["state"], entry["reason"]) == ("UNAVAILABLE", "unloaded"), f"repository: {entry}")
    client.load_model("tiny", headers=headers())
    expect(client.is_model_ready("tiny", headers=headers()), "a model that is loaded is ready")
    error = refused(InferenceServerException, client.load_model, "nobody", headers=headers())
    expect(error.status() == "404", f"an unknown model is not loaded: {error}")
    print("tritonclient: unloaded and loaded a model")


def check_hugging_face(url: str, key: str, picture: Path, reference: Reference) -> None:
    client = InferenceClient(model=f"{url}/hf/tiny", token=key)
    ranked = reference.ranked(picture.read_bytes())
    answer = client.image_classification(picture)
    expect([each.label for each in answer] == [label for label, _ in ranked], f"Hugging Face: {answer}, not {ranked}")
    close([each.score for each in answer], [score for _, score in ranked], "Hugging Face")
    answer = client.image_classification(picture, top_k=2, function_to_apply="softmax")
    expect([each.label for each in answer] == [label for label, _ in ranked[:2]], f"Hugging Face, top 2: {answer}")
    error = refused(HfHubHTTPError, InferenceClient(model=f"{url}/hf/nobody", token=key).image_classification, picture)
    expect(error.response.status_code == 404, f"Hugging Face, an unknown model: {error}")
    error = refused(HfHubHTTPError, InferenceClient(model=f"{url}/hf/tiny", token="hf_wrong").image_classification, picture)
    expect(error.response.status_code == 401, f"Hugging Face, a wrong key: {error}")
    print(f"huggingface_hub: {answer}")


def check_custom_vision(url: str, key: str, picture: Path, reference: Reference) -> None:
    project = str(uuid.uuid4())

    def client(key: str) -> CustomVisionPredictionClient:
        return CustomVisionPredictionClient(url, ApiKeyCredentials(in_headers={"Prediction-key": key}))

    ranked = reference.ranked(picture.read_bytes())
    for call in (client(key).classify_image, client(key).classify_image_with_no_store):
        answer = call(project, "tiny", picture.read_bytes())
        expect(answer.project == project and answer.created is not None, f"Custom Vision: {answer}")
        tags = [(tag.tag_name, tag.probability) for tag in answer.predictions]
        expect([name for name, _ in tags] == [label for label, _ in ranked], f"Custom Vision: {tags}, not {ranked}")
        close([probability for _, probability in tags], [score for _, score in ranked], "Custom Vision")
        expect(all(uuid.UUID(tag.tag_id) for tag in answer.predictions), "tags have ids")
    error = refused(CustomVisionErrorException, client(key).classify_image, project, "nobody", picture.read_bytes())
    expect(error.error.code == "NotFoundIteration", f"Custom Vision, an unknown iteration: {error.error}")
    error = refused(CustomVisionErrorException, client(key).classify_image, project, "tiny", b"text")
    expect(error.error.code == "BadRequestImageFormat", f"Custom Vision, no image: {error.error}")
    error = refused(CustomVisionErrorException, client(key).classify_image_url, project, "tiny", "http://example.com/a.jpg")
    expect(error.error.code == "BadRequestImageUrl", f"Custom Vision, an address: {error.error}")
    error = refused(CustomVisionErrorException, client("wrong").classify_image, project, "tiny", picture.read_bytes())
    expect(error.response.status_code == 401, f"Custom Vision, a wrong key: {error}")
    print(f"Custom Vision: {tags}")


def check_sagemaker(url: str, key: str, picture: Path, reference: Reference) -> None:
    def client(key: str):
        return boto3.client(
            "sagemaker-runtime",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id=key,
            aws_secret_access_key="any",
            config=Config(retries={"max_attempts": 0}),
        )

    def invoke(key: str, endpoint: str) -> dict:
        body = picture.read_bytes()
        answer = client(key).invoke_endpoint(EndpointName=endpoint, Body=body, ContentType="application/x-image")
        return json.loads(answer["Body"].read())

    answer = invoke(key, "tiny")
    expect(answer["labels"] == tiny.LABELS, f"SageMaker: {answer}")
    close(answer["probabilities"], reference.scores(picture.read_bytes()), "SageMaker")
    errors = client(key).exceptions.ClientError
    error = refused(errors, invoke, key, "nobody")
    expect(error.response["ResponseMetadata"]["HTTPStatusCode"] == 404, f"SageMaker, an unknown endpoint: {error}")
    error = refused(errors, invoke, "wrong", "tiny")
    expect(error.response["ResponseMetadata"]["HTTPStatusCode"] == 401, f"SageMaker, a wrong key: {error}")
    print(f"boto3: {answer}")


def send(url: str, key: str, body: bytes, content_type: str) -> dict:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": content_type}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as answer:
        return json.load(answer)


def check_bytes(url: str, key: str, picture: bytes, reference: Reference) -> None:
    """Services whose clients are no small packages: the requests of their documentation."""
    ranked, encoded = reference.ranked(picture), base64.b64encode(picture).decode()

    def posted(path: str, body: object, content_type: str = "application/json") -> dict:
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        return send(f"{url}{path}", key, body, content_type)

    vertex = {"instances": [{"content": encoded}], "parameters": {"confidenceThreshold": 0.0, "maxPredictions": 2}}
    answer = posted("/v1/projects/p/locations/us-central1/endpoints/tiny:predict", vertex)
    (prediction,) = answer["predictions"]
    expect(prediction["displayNames"] == [label for label, _ in ranked[:2]], f"Vertex AI: {answer}")
    close(prediction["confidences"], [score for _, score in ranked[:2]], "Vertex AI")
    print(f"Vertex AI: {answer}")

    answer = posted("/v1/models/tiny:predict", {"instances": [{"b64": encoded}]}, "application/x-www-form-urlencoded")
    close(answer["predictions"], [reference.scores(picture)], "TensorFlow Serving")
    answer = posted("/v1/models/tiny:classify", {"examples": [{"image": {"b64": encoded}}]})
    expect([label for label, _ in answer["result"][0]] == [label for label, _ in ranked], f"TensorFlow Serving: {answer}")
    print(f"TensorFlow Serving: {answer}")

    answer = posted("/predictions/tiny", picture, "image/jpeg")
    expect(list(answer) == [label for label, _ in ranked], f"TorchServe: {answer}, not {ranked}")
    close(list(answer.values()), [score for _, score in ranked], "TorchServe")
    try:
        posted("/predictions/nobody", picture, "image/jpeg")
        sys.exit("FAILED: TorchServe: an unknown model is refused")
    except urllib.error.HTTPError as error:
        refusal = json.load(error)
        expect(refusal["code"] == 404 and refusal["type"] == "ModelNotFoundException", f"TorchServe: {refusal}")
    print(f"TorchServe: {answer}")


def new_key(graft: Path, role: str) -> tuple[str, str]:
    """A key, and the line that the server knows it by."""
    command = [str(graft), "key", "new", "--name", role, "--role", role]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    secret, line = (line.split(": ", 1)[1] for line in lines)
    return secret, line.replace(" ", ":")


def main(graft: Path, folder: Path) -> None:
    os.environ.setdefault("ORT_DYLIB_PATH", library())
    pngs = [sorted(each.iterdir())[0] for each in sorted((folder / "colours").iterdir())]
    reference = Reference(folder / "tiny.onnx")
    with tempfile.TemporaryDirectory(prefix="graft-clients-") as name:
        data = Path(name) / "data"
        jpeg = Path(name) / "picture.jpg"
        Image.open(pngs[0]).save(jpeg, quality=95)
        import_tiny(graft, folder, data)
        (key, line), (admin, line_of_admin) = new_key(graft, "infer"), new_key(graft, "admin")
        os.environ["GRAFT_KEYS"] = f"{line} {line_of_admin}"
        with serving(graft, data, "ort") as url:
            pictures = [jpeg.read_bytes(), *(png.read_bytes() for png in pngs)]
            check_triton(url, key, pictures, reference)
            check_triton_repository(url, admin)
            check_hugging_face(url, key, jpeg, reference)
            check_custom_vision(url, key, jpeg, reference)
            check_sagemaker(url, key, jpeg, reference)
            check_bytes(url, key, jpeg.read_bytes(), reference)
    print("clients of other services: everything holds")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]))
