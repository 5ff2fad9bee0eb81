"""Whether `GET /finetune/schema` is a JSON Schema that tells right requests from wrong ones, by the package jsonschema.

    python tests/interop/check_schema.py http://127.0.0.1:8080

The server has to agree: what the schema refuses, `POST /finetune` refuses as well, and what the schema allows is never an
`invalid_body`. No fine-tune is begun, because no data set that is named here exists.
"""

import json
import sys
import urllib.error
import urllib.request

from jsonschema import Draft202012Validator

BASE = {"base_model": "tiny", "name": "new", "dataset": {"layout": "folder", "path": "nowhere"}}


def options(**values: object) -> dict:
    return BASE | {"options": values}


GOOD = {
    "the least": BASE,
    "the model inside as the base": {key: value for key, value in BASE.items() if key != "base_model"},
    "a stored data set": BASE | {"dataset": {"kind": "stored", "name": "nothing", "snapshot": 3}},
    "every kind of option": options(strategy="staged", views=2, label_smoothing=0.0, tuning={"epochs": 3, "layer_decay": 1.0}),
    "the ends of bounds": options(views=64, seed=2**53 - 1, learning_rate=1000, test=0.89, tuning={"stages": 1000}),
    "a head by SGD": options(head_solver="sgd", epochs=1_000_000),
}
BAD = {
    "no name": {key: value for key, value in BASE.items() if key != "name"},
    "an unknown field": BASE | {"colour": "red"},
    "an unknown option": options(epoch=3),
    "an unknown strategy": options(strategy="magic"),
    "a number below its bound": options(views=0),
    "a number above its bound": options(views=65),
    "a number at an exclusive bound": options(learning_rate=0),
    "a share of one": options(label_smoothing=1.0),
    "a nested bound": options(tuning={"layer_decay": 0}),
    "a text for a number": options(epochs="many"),
    "a data set without a path": BASE | {"dataset": {"layout": "folder"}},
    "a list": [BASE],
}


def ask(url: str, body: object = None) -> tuple[int, dict]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def main() -> None:
    (url,) = sys.argv[1:]
    _, schema = ask(f"{url}/finetune/schema")
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    failures = []
    for name, request in GOOD.items():
        failures += [f"{name}: refused by the schema: {error.message}" for error in validator.iter_errors(request)]
        status, answer = ask(f"{url}/finetune", request)
        if status < 400 or answer["code"] == "invalid_body":
            failures.append(f"{name}: the server answers {status} {answer.get('code')}")
    for name, request in BAD.items():
        if validator.is_valid(request):
            failures.append(f"{name}: allowed by the schema")
        status, answer = ask(f"{url}/finetune", request)
        if status not in (400, 422):
            failures.append(f"{name}: the server answers {status} {answer.get('code')}")
    defaults = schema["$defs"]["FinetuneOptions"]["properties"]
    missing = [name for name, option in defaults.items() if "default" not in option and "$ref" not in option]
    failures += [f"{name}: no default" for name in missing if "allOf" not in defaults[name] and "oneOf" not in defaults[name]]
    if failures:
        sys.exit("FAILED: the schema of fine-tunes\n" + "\n".join(failures))
    print(f"the schema of fine-tunes: {len(GOOD)} right and {len(BAD)} wrong requests told apart, as the server does")


if __name__ == "__main__":
    main()
