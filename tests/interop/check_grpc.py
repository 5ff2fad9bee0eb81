"""Whether tritonclient.grpc gets on with graft as it is.

    python tests/interop/check_grpc.py target/debug/graft FOLDER

FOLDER has what tiny.py writes. The program has to be built with `--features server/grpc`; one that is not is passed over, unless
GRAFT_REQUIRE_LIBRARIES is set. Starts a server that asks for keys, with the model `tiny`, and calls every method of the service, with good
and bad requests; then, without keys, over TLS; then with 20 clients while the server is told to stop.

What must come out is computed as in check_clients.py: PIL resizes and crops, ONNX Runtime runs the file, Python takes the softmax.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import tritonclient.grpc as triton
from check_clients import Reference, close, expect, new_key, prepared, refused, softmax
from interop import await_ready, free_port, import_tiny, library
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

import tiny

SIDE = tiny.SIDE
CLIENTS = 20
STOP_SECONDS = 30


class Server:
    """A program that serves, and where."""

    def __init__(self, process: subprocess.Popen, log: Path, ports: tuple[int, int]) -> None:
        self.process, self.log = process, log
        self.url, self.grpc = f"http://127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}"

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(STOP_SECONDS)
        expect(code == 0, f"the server ends with exit code 0 after SIGTERM, not {code}")

    def lines(self) -> list[dict]:
        """What the log says of calls."""
        lines = (line for line in self.log.read_text().splitlines() if line.startswith("{"))
        return [json.loads(line) for line in lines]

    def counters(self, key: str) -> tuple[int, dict[str, int]]:
        """How many calls were received, and how many ended, by their outcomes."""
        request = urllib.request.Request(f"{self.url}/metrics", headers=bearer(key))
        received, ended = 0, {}
        for line in urllib.request.urlopen(request).read().decode().splitlines():
            name, _, value = line.rpartition(" ")
            if "GRPCInferenceService" not in name:
                continue
            if name.startswith("graft_requests_received_total"):
                received += int(value)
            if name.startswith("graft_requests_total"):
                outcome = name.split('outcome="')[1].split('"')[0]
                ended[outcome] = ended.get(outcome, 0) + int(value)
        return received, ended


@contextlib.contextmanager
def serving(graft: Path, data: Path, *options: object, **environment: str) -> Iterator[Server]:
    ports = free_port(), free_port()
    log = data.with_name("grpc.log")
    command = [graft, "serve", "--data-dir", data, "--engine", "ort", "--port", ports[0], "--grpc-port", ports[1]]
    command = [str(word) for word in [*command, "--log-format", "json", *options]]
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **environment})
    server = Server(process, log, ports)
    try:
        if "--tls-cert" not in command:
            await_ready(server.url, process)
        yield server
    except BaseException:
        print(f"the server's log:\n{log.read_text()}", file=sys.stderr)
        raise
    finally:
        process.kill()
        process.wait()


def tensor(name: str, values: np.ndarray, datatype: str) -> triton.InferInput:
    given = triton.InferInput(name, list(values.shape), datatype)
    given.set_data_from_numpy(values)
    return given


def fails(status: str, text: str, call, *arguments, **named) -> InferenceServerException:
    error = refused(InferenceServerException, call, *arguments, **named)
    expect(error.status() == f"StatusCode.{status}" and text in error.message(), f"{status}, `{text}`: {error}")
    return error


def check_server(client: triton.InferenceServerClient, headers: dict) -> None:
    expect(client.is_server_live() and client.is_server_ready(), "the server is live and ready, without a key")
    expect(client.is_model_ready("tiny", headers=headers), "tiny is ready")
    expect(client.is_model_ready("tiny", "1", headers=headers), "version 1 of tiny is ready")
    fails("NOT_FOUND", "there is no model `nobody`", client.is_model_ready, "nobody", headers=headers)
    fails("NOT_FOUND", "version `9` of `tiny`", client.get_model_metadata, "tiny", "9", headers=headers)
    server = client.get_server_metadata(headers)
    expect(server.name == "graft" and "classification" in server.extensions, f"the server: {server}")
    metadata = client.get_model_metadata("tiny", headers=headers)
    inputs = {each.name: (each.datatype, list(each.shape)) for each in metadata.inputs}
    expect(inputs == {"input": ("FP32", [-1, 3, SIDE, SIDE]), "image": ("BYTES", [-1, 1])}, f"inputs: {metadata}")
    outputs = {each.name: list(each.shape) for each in metadata.outputs}
    expect(outputs == {"logits": [-1, 4], "probabilities": [-1, 4]}, f"outputs: {metadata}")
    config = client.get_model_config("tiny", headers=headers).config
    expect(config.platform == "onnxruntime_onnx" and config.max_batch_size == 64, f"configuration: {config}")
    expect(list(config.version_policy.specific.versions) == [1], f"configuration: {config}")
    expect([(each.name, list(each.dims)) for each in config.input] == [("input", [3, SIDE, SIDE]), ("image", [1])], f"{config}")
    index = client.get_model_repository_index(headers).models
    states = [(each.name, each.version, each.state) for each in index]
    expect(("tiny", "1", "READY") in states, f"repository: {index}")


def check_infer(client: triton.InferenceServerClient, headers: dict, pictures: list[bytes], reference: Reference) -> None:
    pixels = np.stack([prepared(picture) for picture in pictures])
    logits = np.stack([reference.logits(image) for image in pixels])
    scores = np.stack([softmax(row) for row in logits])
    for coding in (None, "gzip", "deflate"):
        answer = client.infer("tiny", [tensor("input", pixels, "FP32")], request_id="7", headers=headers, compression_algorithm=coding)
        close(answer.as_numpy("logits"), logits, f"pixels, {coding}")
        close(answer.as_numpy("probabilities"), scores, f"pixels, {coding}")
        response = answer.get_response()
        expect((response.id, response.model_name, response.model_version) == ("7", "tiny", "1"), f"{response}")
    files = np.array(pictures, dtype=np.object_)
    for shape in ([len(files)], [len(files), 1]):
        answer = client.infer("tiny", [tensor("image", files.reshape(shape), "BYTES")], "1", headers=headers)
        close(answer.as_numpy("probabilities"), [reference.scores(picture) for picture in pictures], f"whole files, {shape}")
    best = [triton.InferRequestedOutput("probabilities", class_count=2)]
    answer = client.infer("tiny", [tensor("image", files[:1], "BYTES")], outputs=best, headers=headers)
    texts = [text.decode().split(":") for text in answer.as_numpy("probabilities")[0]]
    ranked = reference.ranked(pictures[0])[:2]
    expect([label for _, _, label in texts] == [label for label, _ in ranked], f"classes: {texts}, not {ranked}")
    close([float(value) for value, _, _ in texts], [score for _, score in ranked], "scores of classes")
    print(f"tritonclient.grpc: {texts}")


def check_typed(stub: service_pb2_grpc.GRPCInferenceServiceStub, metadata: list, pictures: list[bytes], reference: Reference) -> None:
    """Elements in the fields for their types, which tritonclient itself does not send."""
    pixels = prepared(pictures[0])
    request = service_pb2.ModelInferRequest(model_name="tiny")
    given = request.inputs.add(name="input", datatype="FP32", shape=[1, 3, SIDE, SIDE])
    given.contents.fp32_contents.extend(pixels.flatten().tolist())
    request.outputs.add(name="logits")
    answer = stub.ModelInfer(request, metadata=metadata)
    expect([each.name for each in answer.outputs] == ["logits"], f"one output: {answer.outputs}")
    close(np.frombuffer(answer.raw_output_contents[0], "<f4"), reference.logits(pixels), "typed pixels")
    request = service_pb2.ModelInferRequest(model_name="tiny")
    given = request.inputs.add(name="image", datatype="BYTES", shape=[1])
    given.contents.bytes_contents.append(pictures[0])
    request.outputs.add(name="probabilities")
    answer = stub.ModelInfer(request, metadata=metadata)
    close(np.frombuffer(answer.raw_output_contents[0], "<f4"), reference.scores(pictures[0]), "typed files")

    def refusal(request: service_pb2.ModelInferRequest) -> str:
        error = refused(grpc.RpcError, stub.ModelInfer, request, metadata=metadata)
        expect(error.code() == grpc.StatusCode.INVALID_ARGUMENT, f"a bad request: {error}")
        return error.details()

    given.contents.fp32_contents.append(1.0)
    expect("elements of another" in refusal(request), "two types at once")
    given.contents.Clear()
    expect("has no elements" in refusal(request), "no elements")
    request.raw_input_contents.append(b"")
    given.contents.bytes_contents.append(pictures[0])
    expect("beside `raw_input_contents`" in refusal(request), "raw and typed")
    error = refused(grpc.RpcError, lambda: list(stub.ModelStreamInfer(iter([request]), metadata=metadata)))
    expect(error.code() == grpc.StatusCode.UNIMPLEMENTED and "ModelInfer" in error.details(), f"streams: {error}")


def check_refusals(client: triton.InferenceServerClient, headers: dict, picture: bytes) -> None:
    pixels = prepared(picture)[np.newaxis]
    image = tensor("image", np.array([picture], dtype=np.object_), "BYTES")
    fails("NOT_FOUND", "there is no model `nobody`", client.infer, "nobody", [image], headers=headers)
    fails("INVALID_ARGUMENT", f"has the shape [-1, 3, {SIDE}, {SIDE}]", client.infer, "tiny", [tensor("input", pixels[:, :, 1:], "FP32")], headers=headers)
    fails("INVALID_ARGUMENT", "there is no input", client.infer, "tiny", [tensor("pixels", pixels, "FP32")], headers=headers)
    fails("INVALID_ARGUMENT", "has the datatype FP32", client.infer, "tiny", [tensor("input", pixels.astype(np.float64), "FP64")], headers=headers)
    fails("INVALID_ARGUMENT", "0 to 255", client.infer, "tiny", [tensor("input", pixels * 2, "FP32")], headers=headers)
    nobody = [triton.InferRequestedOutput("nothing")]
    fails("INVALID_ARGUMENT", "there is no output", client.infer, "tiny", [image], outputs=nobody, headers=headers)
    text = tensor("image", np.array([b"text"], dtype=np.object_), "BYTES")
    fails("INVALID_ARGUMENT", "not an image", client.infer, "tiny", [text], headers=headers)
    fails("DEADLINE_EXCEEDED", "", client.infer, "tiny", [image], headers=headers, timeout=1)
    large = tensor("image", np.array([bytes(2 << 20)], dtype=np.object_), "BYTES")
    fails("RESOURCE_EXHAUSTED", "larger than 1048576 bytes", client.infer, "tiny", [large], headers=headers)


def check_keys(client: triton.InferenceServerClient, key: str, picture: bytes) -> None:
    image = tensor("image", np.array([picture], dtype=np.object_), "BYTES")
    fails("UNAUTHENTICATED", "", client.infer, "tiny", [image])
    fails("UNAUTHENTICATED", "", client.infer, "tiny", [image], headers={"authorization": "Bearer wrong"})
    fails("UNAUTHENTICATED", "", client.get_model_metadata, "tiny")
    fails("PERMISSION_DENIED", "has not the role `admin`", client.unload_model, "tiny", headers=bearer(key))


def check_repository(client: triton.InferenceServerClient, headers: dict, picture: bytes) -> None:
    image = tensor("image", np.array([picture], dtype=np.object_), "BYTES")
    before = client.get_inference_statistics("tiny", headers=headers).model_stats[0]
    client.unload_model("tiny", headers=headers)
    expect(not client.is_model_ready("tiny", headers=headers), "tiny is unloaded")
    fails("UNAVAILABLE", "unloaded", client.infer, "tiny", [image], headers=headers)
    (state,) = (each for each in client.get_model_repository_index(headers).models if each.name == "tiny")
    expect((state.state, state.reason) == ("UNAVAILABLE", "unloaded"), f"repository: {state}")
    client.load_model("tiny", headers=headers)
    client.infer("tiny", [image], headers=headers)
    after = client.get_inference_statistics(headers=headers).model_stats
    (after,) = (each for each in after if each.name == "tiny")
    expect(after.inference_count == before.inference_count + 1, f"statistics: {before.inference_count}, {after.inference_count}")
    expect(after.inference_stats.compute_infer.ns > 0 and after.batch_stats[0].batch_size == 1, f"statistics: {after}")
    fails("INVALID_ARGUMENT", "as it is stored", client.load_model, "tiny", headers=headers, config="{}")
    fails("NOT_FOUND", "there is no model `nobody`", client.load_model, "nobody", headers=headers)


def bearer(key: str) -> dict:
    return {"authorization": f"Bearer {key}"}


def check_counters(server: Server, key: str) -> None:
    """Every call that was received has one end."""
    received, ended = server.counters(key)
    expect(received == sum(ended.values()), f"received {received}, ended {ended}")
    expect({"answered", "shed", "failed"} <= ended.keys(), f"ends: {ended}")
    print(f"counters: received {received}, ended {ended}")


def check_tls(graft: Path, folder: Path, data: Path, picture: bytes) -> None:
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    image = tensor("image", np.array([picture], dtype=np.object_), "BYTES")
    with serving(graft, data, "--tls-cert", certificate, "--tls-key", key) as server:
        port = server.grpc.rsplit(":", 1)[1]
        client = triton.InferenceServerClient(f"localhost:{port}", ssl=True, root_certificates=str(certificate))
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(InferenceServerException):
                if client.is_server_ready():
                    break
            time.sleep(0.2)
        expect(client.infer("tiny", [image]).as_numpy("logits").shape == (1, 4), "an answer over TLS")
        plain = triton.InferenceServerClient(f"localhost:{port}")
        fails("INVALID_ARGUMENT", "speaks TLS", plain.is_server_live)
        server.stop()
    print("TLS: answered")


def check_drain(graft: Path, data: Path, picture: bytes) -> None:
    """Twenty clients send all the time while the server is told to stop. Each call that it takes on is answered."""
    image = np.array([picture], dtype=np.object_)
    answered, failures = [0] * CLIENTS, []

    def send(number: int, address: str) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        client = triton.InferenceServerClient(address, channel_args=options)
        while True:
            try:
                client.infer("tiny", [tensor("image", image, "BYTES")])
                answered[number] += 1
            except InferenceServerException as error:
                failures.append(error)
                return

    with serving(graft, data, "--drain-delay-seconds", 1, "--queue", 1000, "--max-queue-ms", 60000) as server:
        threads = [threading.Thread(target=send, args=(number, server.grpc)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        time.sleep(2)
        server.stop()
        for thread in threads:
            thread.join(STOP_SECONDS)
    kinds = {error.status() for error in failures}
    expect(kinds == {"StatusCode.UNAVAILABLE"}, f"clients of a server that has gone: {failures}")
    calls = [line for line in server.lines() if "ModelInfer" in json.dumps(line)]
    outcomes = [line.get("outcome", line.get("fields", {}).get("outcome")) for line in calls]
    outcomes = {outcome: outcomes.count(outcome) for outcome in set(outcomes) if outcome}
    expect(outcomes == {"answered": sum(answered)}, f"the server says {outcomes}, the clients have {sum(answered)} answers")
    expect(min(answered) > 0, f"every client has had answers: {answered}")
    print(f"SIGTERM: {sum(answered)} calls of {CLIENTS} clients, all of them answered")


def main(graft: Path, folder: Path) -> None:
    if "--grpc-port" not in subprocess.run([graft, "serve", "--help"], check=True, capture_output=True, text=True).stdout:
        expect("GRAFT_REQUIRE_LIBRARIES" not in os.environ, "the program is built without gRPC; build it with --features server/grpc")
        print("SKIPPED: the program is built without gRPC")
        return
    os.environ.setdefault("ORT_DYLIB_PATH", library())
    pngs = [sorted(each.iterdir())[0] for each in sorted((folder / "colours").iterdir())]
    reference = Reference(folder / "tiny.onnx")
    with tempfile.TemporaryDirectory(prefix="graft-grpc-") as name:
        data = Path(name) / "data"
        import_tiny(graft, folder, data)
        (key, line), (admin, line_of_admin) = new_key(graft, "infer"), new_key(graft, "admin")
        pictures = [png.read_bytes() for png in pngs]
        with serving(graft, data, "--max-body-mb", 1, GRAFT_KEYS=f"{line} {line_of_admin}") as server:
            client = triton.InferenceServerClient(server.grpc)
            stub = service_pb2_grpc.GRPCInferenceServiceStub(grpc.insecure_channel(server.grpc))
            check_server(client, bearer(key))
            check_infer(client, bearer(key), pictures, reference)
            check_typed(stub, list(bearer(key).items()), pictures, reference)
            check_refusals(client, bearer(key), pictures[0])
            check_keys(client, key, pictures[0])
            check_repository(client, bearer(admin), pictures[0])
            check_counters(server, admin)
            server.stop()
        check_tls(graft, Path(name), data, pictures[0])
        check_drain(graft, data, pictures[0])
    print("gRPC: everything holds")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]))
