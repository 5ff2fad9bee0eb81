"""The generated client at work, as its user would write it.

    PYTHONPATH=FOLDER_OF_THE_CLIENT python tests/interop/client/use_client.py URL ENGINE DATASET

On the server at URL, which has the model `tiny` and runs it on ENGINE: lists models, classifies files and bytes, starts
a fine-tune on the pictures in the folder DATASET (a folder for each class, named after it), follows it to its end,
classifies with the new model `colours`, lets another version of it answer, calls another fine-tune off, and meets the
errors that a client must be able to tell apart.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import graft_client
from graft_client import (
    AdditionState,
    ApiException,
    DatasetSource,
    FinetuneOptions,
    FinetuneRequest,
    JobDataset,
    JobState,
    Layout,
    LiveRequest,
    NewDataset,
    StoredKind,
    StoredSource,
)

DEADLINE_SECONDS = 120
EPOCHS = 40
OVER = {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}


def expect(holds: bool, what: str) -> None:
    if not holds:
        sys.exit(f"FAILED: {what}")


def patiently() -> Iterator[None]:
    """Every tenth of a second until the deadline, and then the end."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        yield
        time.sleep(0.1)
    sys.exit(f"FAILED: nothing came of it in {DEADLINE_SECONDS} s")


def problem(status: int, code: str, call, *args, **kwargs) -> None:
    """The call must fail with this status and a problem that says so, too."""
    try:
        call(*args, **kwargs)
    except ApiException as error:
        expect(error.status == status, f"{code}: status {status}, not {error.status}: {error.body}")
        kind = error.headers.get("content-type")
        expect(kind == "application/problem+json", f"{code}: the content type is problem+json, not {kind}")
        body = json.loads(error.body)
        expect(body["code"] == code, f"the code is {code}, not {body['code']}")
        expect(body["status"] == status and body["detail"] and body["request_id"], f"the problem is complete: {body}")
        expect(error.headers.get("x-request-id") == body["request_id"], f"{code}: body and header name one request")
        print(f"error {status} {code}: {body['detail']}")
        return
    expect(False, f"{call.__name__} fails with {code}")


class Client:
    def __init__(self, url: str) -> None:
        api = graft_client.ApiClient(graft_client.Configuration(host=url))
        self.classify = graft_client.ClassifyApi(api)
        self.datasets = graft_client.DatasetsApi(api)
        self.finetune = graft_client.FinetuneApi(api)
        self.health = graft_client.HealthApi(api)
        self.models = graft_client.ModelsApi(api)

    def best(self, model: str, picture: Path) -> str:
        answer = self.classify.classify_images([str(picture)], model=model)
        return answer.results[0].predictions[0].label


def check_models(client: Client, engine: str) -> None:
    expect(client.health.get_liveness().status == "ok", "the server is alive")
    expect(client.health.get_readiness().status == "ok", "the server is ready")
    models = {model.name: model for model in client.models.list_models().data}
    expect(models["tiny"].state == "READY", f"tiny is ready: {models}")
    tiny = client.models.get_model("tiny")
    expect(tiny.labels == ["ant", "bee", "cat", "dog"], f"tiny's labels are those of the import: {tiny.labels}")
    expect(tiny.classes == 4 and tiny.versions == [1], f"tiny has 4 classes and one version: {tiny}")
    expect(tiny.engine.kind == engine, f"the engine is the one that was asked for, {engine}: {tiny.engine}")
    print(f"models: {sorted(models)}; engine {tiny.engine.kind}: {tiny.engine.reason}")


def check_classify(client: Client, pictures: list[Path]) -> None:
    answer = client.classify.classify_images([str(picture) for picture in pictures], model="tiny", top_k=4)
    expect(len(answer.results) == len(pictures), "there is an answer for each file")
    for picture, result in zip(pictures, answer.results, strict=True):
        expect(result.file_name == picture.name, f"the answers have the files' names: {result.file_name}")
        scores = [prediction.score for prediction in result.predictions]
        expect(len(scores) == 4 and abs(sum(scores) - 1) < 1e-5, f"four classes whose scores add up to 1: {scores}")
        expect(scores == sorted(scores, reverse=True), f"the best come first: {scores}")
        single = client.classify.classify_bytes(picture.read_bytes(), model="tiny", top_k=4).results[0]
        expect(
            all(
                a.label == b.label and a.var_class == b.var_class and abs(a.score - b.score) < 1e-5
                for a, b in zip(result.predictions, single.predictions, strict=True)
            ),
            f"a file in a form and the same bytes get the same answer: {result.predictions}, {single.predictions}",
        )
    print(f"classified {len(pictures)} files, as a form and as bytes; timings of the form: {answer.timings_ms}")


def check_errors(client: Client, picture: Path) -> None:
    classify = client.classify
    problem(404, "model_not_found", classify.classify_images, [str(picture)], model="nobody")
    problem(422, "not_an_image", classify.classify_bytes, b"this is text", model="tiny")
    problem(422, "image_truncated", classify.classify_bytes, picture.read_bytes()[:200], model="tiny")
    problem(404, "job_not_found", client.finetune.get_finetune, "00000000-0000-7000-8000-000000000000")


def request(dataset: Path, name: str, epochs: int) -> FinetuneRequest:
    folder = DatasetSource(layout=Layout.FOLDER, path=str(dataset.resolve()))
    options = FinetuneOptions(epochs=epochs, learning_rate=0.05)
    return FinetuneRequest(base_model="tiny", dataset=JobDataset(folder), name=name, options=options)


def check_finetune(client: Client, dataset: Path) -> None:
    accepted = client.finetune.create_finetune_with_http_info(request(dataset, "colours", EPOCHS))
    job = accepted.data
    expect(accepted.status_code == 202, f"a fine-tune is accepted with 202, not {accepted.status_code}")
    location = accepted.headers.get("location")
    expect(location == f"/finetune/{job.id}", f"Location is the job's address, not {location}")

    seen, phases, epochs, metrics = 0, [], 0, None
    for _ in patiently():
        job = client.finetune.get_finetune(job.id)
        page = client.finetune.list_finetune_events(job.id, after=seen, limit=1000)
        for event in page.data:
            expect(event.seq > seen, "events come in order, each once")
            seen = event.seq
            what = event.event.actual_instance
            if what.type == "phase":
                phases.append(str(what.phase.value))
            elif what.type == "epoch":
                epochs += 1
            elif what.type == "metrics":
                metrics = what.metrics
        if job.state in OVER and not page.has_more:
            break
    expect(job.state == JobState.SUCCEEDED, f"the fine-tune succeeds: {job}")
    expect(phases == ["data", "features", "training", "export", "parity"], f"its phases come in order: {phases}")
    expect(epochs == EPOCHS, f"every epoch is an event: {epochs} of {EPOCHS}")
    expect(metrics == job.result.metrics, f"the metrics of the event are those of the job: {metrics}, {job.result}")
    expect(job.id in [other.id for other in client.finetune.list_finetunes().data], "the list has the job")
    seconds = (job.finished_at - job.created_at).total_seconds()
    print(f"fine-tune: {seen} events, {seconds:.1f} s, {job.result.metrics}")
    problem(409, "job_finished", client.finetune.cancel_finetune, job.id)


def check_new_model(client: Client, dataset: Path) -> None:
    for _ in patiently():
        models = {model.name: model for model in client.models.list_models().data}
        state = models["colours"].state if "colours" in models else None
        expect(state != "FAILED", f"the new model serves: {models.get('colours')}")
        if state == "READY":
            break
    folders = sorted(path for path in dataset.iterdir() if path.is_dir())
    model = client.models.get_model("colours")
    expect(model.labels == [folder.name for folder in folders], f"the new model's classes are the folders: {model}")
    expect(model.training["base"] == "tiny", f"the new model knows what it was grafted on: {model.training}")
    for folder in folders:
        answers = [client.best("colours", picture) for picture in sorted(folder.iterdir())[:4]]
        expect(answers == [folder.name] * 4, f"pictures of {folder.name} are {answers}")
    print(f"the new model tells {model.labels} apart")


def check_promote(client: Client, dataset: Path) -> None:
    job = client.finetune.create_finetune(request(dataset, "colours", EPOCHS // 2))
    for _ in patiently():
        job = client.finetune.get_finetune(job.id)
        if job.state in OVER:
            break
    expect(job.state == JobState.SUCCEEDED, f"the second fine-tune succeeds: {job}")
    picture = next(dataset.glob("*/*")).read_bytes()
    for version in (2, 1):
        model = client.models.set_live("colours", LiveRequest(version=version))
        expect(model.version == version, f"version {version} of colours answers: {model.version}")
        answer = client.classify.classify_bytes(picture, model="colours")
        expect(answer.version == version, f"version {version} of colours classifies: {answer.version}")
    print("another version was promoted, and rolled back")


def check_cancel(client: Client, dataset: Path) -> None:
    job = client.finetune.create_finetune(request(dataset, "endless", 1_000_000))
    for _ in patiently():
        job = client.finetune.get_finetune(job.id)
        if job.state == JobState.RUNNING:
            break
    client.finetune.cancel_finetune(job.id)
    for _ in patiently():
        job = client.finetune.get_finetune(job.id)
        if job.state in OVER:
            break
    expect(job.state == JobState.CANCELLED, f"the fine-tune is called off: {job}")
    expect("endless" not in [model.name for model in client.models.list_models().data], "it has published nothing")
    print("a running fine-tune was called off")


def check_stored_dataset(client: Client, dataset: Path) -> None:
    client.datasets.create_dataset(NewDataset(name="stored"))
    for folder in sorted(path for path in dataset.iterdir() if path.is_dir()):
        pictures = [str(picture) for picture in sorted(folder.iterdir())]
        added = client.datasets.add_dataset_images("stored", image=pictures, label=folder.name)
        expect(all(result.state == AdditionState.ADDED for result in added.results), f"all of {folder.name} are added")
    detail = client.datasets.get_dataset("stored")
    images = client.datasets.list_dataset_images("stored", limit=1000).data
    expect(sum(each.images for each in detail.classes) == len(images), f"the classes count {len(images)} images")
    expect(client.datasets.get_dataset_image("stored", images[0].id) is not None, "an image is given back")
    source = StoredSource(kind=StoredKind.STORED, name="stored")
    wanted = FinetuneRequest(base_model="tiny", dataset=JobDataset(source), name="of-stored")
    job = client.finetune.create_finetune(wanted)
    expect(job.dataset.actual_instance.snapshot == 1, "the fine-tune says which snapshot it is made of")
    problem(409, "dataset_in_use", client.datasets.delete_dataset, "stored")
    while client.finetune.get_finetune(job.id).state in (JobState.QUEUED, JobState.RUNNING):
        time.sleep(0.2)
    client.datasets.delete_dataset("stored")
    print(f"a stored data set of {len(images)} images: added, listed, pinned, deleted")


def main(url: str, engine: str, dataset: Path) -> None:
    client = Client(url)
    pictures = [sorted(folder.iterdir())[0] for folder in sorted(dataset.iterdir())]
    check_models(client, engine)
    check_classify(client, pictures)
    check_errors(client, pictures[0])
    check_finetune(client, dataset)
    check_new_model(client, dataset)
    check_promote(client, dataset)
    check_cancel(client, dataset)
    check_stored_dataset(client, dataset)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
