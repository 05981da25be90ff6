"""What breaks a client is found in the API's description, and what does not is let be."""

import copy
import json

import pytest

from scripts.compatibility import PROMISED, breaking, main, reduced
from scripts.generate import openapi

MODEL = "/v1/tenants/{tenant}/models/{name}"
TRAFFIC = "/v1/tenants/{tenant}/models/{model}/traffic"


@pytest.fixture
def promised() -> dict:
    return json.loads(PROMISED.read_text())


def body(description: dict, path: str = MODEL, method: str = "put") -> dict:
    return description["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"]


def spec(description: dict) -> dict:
    return body(description)["properties"]["spec"]["properties"]


def without_path(now: dict) -> None:
    del now["paths"][TRAFFIC]


def without_parameter(now: dict) -> None:
    now["paths"][MODEL]["put"]["parameters"] = [
        p for p in now["paths"][MODEL]["put"]["parameters"] if p["name"] != "plan"
    ]


def with_required_parameter(now: dict) -> None:
    parameter = {"in": "query", "name": "because", "required": True, "schema": {"type": "string"}}
    now["paths"][MODEL]["put"]["parameters"].append(parameter)


def without_field(now: dict) -> None:
    del spec(now)["paused"]


def with_required_field(now: dict) -> None:
    body(now)["properties"]["spec"]["required"].append("warmup")


def with_another_type(now: dict) -> None:
    spec(now)["drain"] = {"type": "integer"}


def with_fewer_words(now: dict) -> None:
    spec(now)["paused"]["maxLength"] = 10


def without_answer(now: dict) -> None:
    del now["paths"][MODEL]["put"]["responses"]["201"]


def without_problem(now: dict) -> None:
    del now["paths"][MODEL]["get"]["responses"]["404"]["content"]["application/problem+json"]


def without_answered_field(now: dict) -> None:
    del now["components"]["schemas"]["Problem"]["properties"]["detail"]


def with_another_answer(now: dict) -> None:
    answer = now["paths"][MODEL]["get"]["responses"]["404"]["content"]["application/problem+json"]
    answer["schema"] = {"anyOf": [answer["schema"], {"type": "string"}]}


def without_yaml(now: dict) -> None:
    del now["paths"][MODEL]["put"]["requestBody"]["content"]["application/yaml"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without_path, f"PUT {TRAFFIC} is gone"),
        (without_parameter, f"PUT {MODEL}: parameter plan is gone"),
        (with_required_parameter, f"PUT {MODEL}: parameter because is new and required"),
        (without_field, f"PUT {MODEL}: body.spec.paused is gone"),
        (with_required_field, f"PUT {MODEL}: body.spec.warmup has become required"),
        (with_another_type, f"PUT {MODEL}: body.spec.drain takes integer instead of string"),
        (with_fewer_words, f"PUT {MODEL}: body.spec.paused: maxLength has become 10"),
        (without_answer, f"PUT {MODEL}: no longer answers 201"),
        (without_problem, f"GET {MODEL}: no longer answers 404 with application/problem+json"),
        (without_answered_field, f"GET {MODEL}: 404.detail is gone"),
        (with_another_answer, f'GET {MODEL}: 404 may also be {{"type": "string"}}'),
        (without_yaml, f"PUT {MODEL}: no longer takes application/yaml"),
    ],
)
def test_what_breaks_a_client_is_named(promised, change, said):
    now = copy.deepcopy(promised)
    change(now)
    assert said in list(breaking(promised, now))


def test_what_is_added_or_widened_breaks_nobody(promised):
    now = copy.deepcopy(promised)
    now["paths"]["/v1/new"] = {"get": {"responses": {}}}
    spec(now)["new"] = {"type": "string"}
    spec(now)["paused"]["maxLength"] = 1000
    del spec(now)["paused"]["pattern"]
    now["paths"][MODEL]["put"]["parameters"].append({"in": "query", "name": "new", "schema": {"type": "string"}})
    now["paths"][MODEL]["put"]["responses"]["202"] = {"description": "later"}
    assert list(breaking(promised, now)) == []


def test_nothing_that_was_promised_is_broken(promised):
    assert list(breaking(promised, reduced(openapi()))) == []
    assert main(promise=False) == 0
