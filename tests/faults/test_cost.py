"""No input costs more than its size: every field and every endpoint is tried with inputs of growing size.

What is counted does not depend on the machine: calls of Python functions, problems, bytes of an answer, and whether
the work was done beside the event loop. Seconds are measured by `python -m tests.faults.cost`.
"""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from istio_templates.documents import WarmupPlanSpec, parse
from istio_templates.documents.crd import crds
from istio_templates.documents.fields import seconds
from istio_templates.errors import MOST_PROBLEMS, Invalid, TidegateError
from k8s_manager.admission.rules.warmup_rules import PlanChecks, heavy_bundles
from k8s_manager.api import pages
from k8s_manager.api.request_body import _mapping
from k8s_manager.history.revision import difference
from k8s_manager.runtime.work.text_diff import MOST_CHARACTERS, unified
from k8s_manager.runtime.work.work_queue import MOST_OF_A_CALLER, TURN, TooMany, Turn, WorkQueue
from scripts.generate import openapi
from tests.faults.cost_inputs import DOCUMENTS, PLAN, bodies, endpoints, fields, flooded, floods
from warmup.plans.bundle import Bundle
from warmup.plans.request_compiler import problems_of

SIZE, SIZES = 20_000, (1_000, 60_000)
ANSWER = 64 * 1024


def calls_of(work: Callable[[], Any], errors: list[Any] | None = None) -> int:
    """Return how many functions a piece of work calls, whether it ends well or in one of the `errors`."""
    count = 0

    def seen(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(seen)
    try:
        work()
    except TidegateError as error:
        if errors is not None:
            errors.append(error)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_every_field_of_every_document_costs_no_more_than_its_size(kind):
    assert parse(DOCUMENTS[kind]).kind == kind
    for path in fields(kind):
        for flood in floods(SIZE):
            document, found = flooded(kind, path, flood.value), list[Invalid]()
            assert calls_of(lambda: parse(document), found) < 20_000 + 2 * SIZE, (path, flood.name)  # noqa: B023
            for error in found:
                assert len(error.problems) <= MOST_PROBLEMS + 1, (path, flood.name)
                assert len(str(error)) < ANSWER, (path, flood.name)


@pytest.mark.parametrize("size", SIZES)
def test_a_body_is_read_at_a_cost_of_its_size(size):
    for name, content, text in bodies(size):
        is_yaml = "yaml" in content
        assert calls_of(lambda: _mapping(text.encode(), is_yaml)) < 5_000 + 20 * size, name  # noqa: B023


JSON_HOLDS_NOT = {
    "an integer beyond 64 bits": (False, '{"spec": {"drain": 123456789012345678901}}', "spec.drain"),
    "a very long integer": (False, '{"spec": {"drain": ' + "9" * 4000 + "}}", "spec.drain"),
    "not a number": (False, '{"spec": {"drain": NaN}}', ""),
    "infinity": (False, '{"spec": {"drain": -Infinity}}', ""),
    "a float that is infinite": (False, '{"spec": {"drain": 1e999}}', "spec.drain"),
    "half of a character": (False, '{"spec": {"paused": "abc\\ud800"}}', "spec.paused"),
    "half of a character in a key": (False, '{"spec": {"\\udfff": 1}}', "spec"),
    "a key twice": (False, '{"spec": {"a": 1, "a": 2}}', ""),
    "bytes that are no text": (False, b'{"spec": "\xff"}', ""),
    "UTF-16": (False, '{"spec": {}}'.encode("utf-16"), ""),
    "a YAML integer beyond 64 bits": (True, "spec: {drain: 0xffffffffffffffffffff}", ""),
    "a set": (True, "spec: {drain: !!set {a, b}}", ""),
    "an ordered map": (True, "spec: {drain: !!omap [a: 1]}", ""),
    "bytes": (True, "spec: {drain: !!binary gICA}", ""),
    "a list as a key": (True, "spec: {? [a, b] : 1}", ""),
    "null as a key": (True, "spec: {~: 1}", ""),
    "a number as a key": (True, "spec: {1: 1, 1.5: 2, true: 3}", ""),
    "YAML infinity": (True, "spec: {drain: .inf}", ""),
    "a timestamp": (True, "spec: {drain: 2026-01-01T00:00:00Z}", ""),
    "a tagged timestamp": (True, "spec: {drain: !!timestamp 2026-01-01}", ""),
    "a YAML key twice": (True, "spec: {a: 1, a: 2}", ""),
    "an escaped half of a character": (True, 'spec: {paused: "\\ud800"}', ""),
    "an object of Python": (True, "spec: !!python/object/apply:os.system [ls]", ""),
}


@pytest.mark.parametrize("name", JSON_HOLDS_NOT)
def test_what_json_cannot_hold_is_rejected_or_read_as_kubectl_does(name):
    is_yaml, text, field = JSON_HOLDS_NOT[name]
    raw = text if isinstance(text, bytes) else text.encode()
    try:
        found = _mapping(raw, is_yaml)
        orjson.dumps(found)  # whatever is let through can be stored
    except TidegateError as error:
        problems = getattr(error, "problems", ())
        assert not field or [problem.field for problem in problems] == [field]
        str(error).encode()  # and told
    else:
        assert not field
        with pytest.raises(Invalid):
            parse({**DOCUMENTS["Model"], **found})


def test_a_duration_has_a_length_before_it_is_read_and_remembered():
    for text in ("0s" * 2**19, "9" * 40 + "s", "0." + "0" * 40 + "1s"):
        with pytest.raises(ValueError, match="longer than 32 characters"):
            seconds(text)


def test_a_plan_is_judged_by_a_sample_of_its_numbers():
    def plan(elements: int, generator: dict[str, Any]) -> Bundle:
        tensor = {"dtype": "INT8", "shape": [-1, elements], "generator": generator}
        case = {"name": "one", "inputs": {"x": tensor}}
        return Bundle("m", WarmupPlanSpec.model_validate({**PLAN, "cases": [case]}))

    for generator in ({"random": {"low": 0, "high": 100}}, {"ones": {}}, {"values": [1, 2, 3]}):
        few, many = plan(2000, generator), plan(1_800_000, generator)
        assert problems_of(few) == problems_of(many) == []
        assert calls_of(lambda: problems_of(many)) < 2 * calls_of(lambda: problems_of(few)) + 100  # noqa: B023
    for wrong in ({"random": {"low": 0, "high": 128.5}}, {"values": [1] * 5000 + [200]}):
        assert "do not fit INT8" in str(problems_of(plan(1_800_000, wrong))[0])


def test_a_plan_that_is_tried_elsewhere_is_not_tried_again():
    checks, document = PlanChecks(), parse(DOCUMENTS["WarmupPlan"])
    bundle = Bundle("model", document.spec)
    assert list(checks.untried([bundle])) == [bundle]
    checks.remember(bundle, ())
    assert list(checks.untried([bundle])) == [] and checks.problems(bundle) == ()


def test_a_text_diff_costs_no_square_of_its_lines():
    old, new = ("".join(f"{side}{number}\n" for number in range(50_000)) for side in "ab")
    assert len(unified(old, new, "a", "b")) < 1000
    assert calls_of(lambda: unified(old, new, "a", "b")) < 500_000
    lines = [f"line {number}\n" for number in range(60_000)]
    changed = [*lines[:40_000], "other\n", *lines[40_001:]]
    found = unified("".join(lines), "".join(changed), "a", "b")
    assert "@@ -39998,7 +39998,7 @@" in found and "+other\n" in found and len(found) < MOST_CHARACTERS


def test_revisions_are_compared_within_the_same_bounds():
    revisions = [{"revision": n, "data": {"spec": {"args": [f"{n}-{i}" for i in range(9000)]}}} for n in (1, 2)]
    assert "lines differ; read both" in difference(*revisions)


def test_a_page_ends_at_a_size():
    documents = [{"metadata": {"name": f"m{number:03d}"}, "spec": "x" * 500_000} for number in range(20)]
    page = pages.page(documents, 500, None, lambda obj: obj)
    assert len(orjson.dumps(page)) < pages.MOST_BYTES + 1000 and page["continue"]
    seen, after = 0, None
    while True:
        page = orjson.loads(orjson.dumps(pages.page(documents, 500, after, lambda obj: obj)))
        seen += len(page["items"])
        if (after := page.get("continue")) is None:
            break
    assert seen == 20


def test_every_text_list_and_mapping_of_a_crd_has_an_end():
    def endless(schema: dict[str, Any], path: str) -> list[str]:
        needed = {"string": "maxLength", "array": "maxItems"}.get(schema.get("type", ""), "")
        found = [path] if needed and needed not in schema and "enum" not in schema else []
        for name, inner in schema.get("properties", {}).items():
            found += endless(inner, f"{path}.{name}")
        for name in ("items", "additionalProperties"):
            if isinstance(schema.get(name), dict):
                found += endless(schema[name], f"{path}.{name}")
        return found

    for crd in crds():
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        assert endless(schema["properties"]["spec"], crd["spec"]["names"]["kind"]) == []


async def in_turns(*turns: Turn) -> list[str]:
    """Return in which order work of these turns is done, once all of it waits behind something else."""
    queue, order = WorkQueue(at_once=1), []
    release = asyncio.Event()
    loop = asyncio.get_running_loop()

    def blocked() -> None:
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result()

    async def one(turn: Turn, work: Callable[[], Any]) -> None:
        TURN.set(turn)
        await queue.run(work)

    first = asyncio.create_task(one(Turn(caller="before"), blocked))
    await asyncio.sleep(0)
    tasks = [asyncio.create_task(one(turn, lambda turn=turn: order.append(turn.caller))) for turn in turns]
    await asyncio.sleep(0)
    release.set()
    await asyncio.gather(first, *tasks)
    return order


async def test_tenants_take_turns_and_so_do_the_callers_of_each():
    flood = [Turn("a", "anna")] * 4 + [Turn("a", "alan")] * 2
    assert await in_turns(*flood, Turn("b", "bob"), Turn("", "carl")) == [
        "anna", "bob", "carl", "alan", "anna", "alan", "anna", "anna",
    ]  # fmt: skip


async def test_who_asks_for_too_much_at_once_is_told_so():
    with pytest.raises(TooMany, match="enough work waits"):
        await in_turns(*[Turn("a", "anna")] * (MOST_OF_A_CALLER + 1))


async def test_work_that_nobody_waits_for_any_more_gives_its_place_back():
    queue = WorkQueue(at_once=1)
    for _ in range(3):
        task = asyncio.create_task(queue.run(lambda: None))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert await queue.run(lambda: 7) == 7


async def test_every_endpoint_answers_a_flood_with_a_bounded_4xx(fleet):
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        work = manager.backend.work
        done, run = 0, WorkQueue.run

        async def counted(self: WorkQueue, call: Callable[[], Any]) -> Any:
            nonlocal done
            done += self is work
            return await run(self, call)

        WorkQueue.run = counted  # type: ignore[method-assign]
        try:
            for method, path in endpoints(openapi()):
                place = path.replace("{host}", "a.example.com")
                for part in ("tenant", "name", "model", "version"):
                    place = place.replace(f"{{{part}}}", "search")
                for _, content, text in list(bodies(60_000))[:4]:
                    before = done
                    status, answer = await rest.call(method, place, text, {"Content-Type": content, "If-Match": "*"})
                    assert 400 <= status < 500, (method, path, status)
                    assert len(orjson.dumps(answer)) < ANSWER and len(answer["problems"]) <= MOST_PROBLEMS + 1
                    assert status == 404 or len(text) < 16_384 or done > before, (method, path)
        finally:
            WorkQueue.run = run  # type: ignore[method-assign]


def test_a_world_without_plans_has_none_to_try():
    assert list(heavy_bundles([parse(DOCUMENTS["Model"])], None)) == []  # type: ignore[arg-type]
