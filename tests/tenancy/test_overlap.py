"""No tenant gets requests that belong to another: a corpus of attempts, judged, and what is accepted routed by Envoy."""

import copy
import re

import pytest

from istio_templates import names
from istio_templates.documents import parse
from istio_templates.errors import Invalid
from k8s_manager.admission.admit import index_accepted, rejections
from k8s_manager.admission.rules.warmup_rules import PlanChecks
from k8s_manager.offline.offline_world import world_of
from k8s_manager.pipeline.plan import plan_once
from k8s_manager.pipeline.render import Renderer
from k8s_manager.standalone.translator.snapshot import snapshot
from tests.support.envoy import ask, config_of, running_envoy
from tests.tenancy.overlaps import API, IDNA, MAPS, SEARCH, VICTIMS, attempts

VICTIM_ROUTES = {
    (SEARCH, "/v1/rank"): "search/ranker",
    (SEARCH, "/v2/models/ranker"): "search/ranker",
    (SEARCH, "/ranking/v1"): "ranking/first",
    (API, "/"): "search/api",
    (MAPS, "/"): "maps/tiles",
    (IDNA, "/v1"): "maps/tiles",
}


def judged():
    """Return the documents that were accepted, and every attempt with whether it was."""
    accepted = [parse(copy.deepcopy(victim)) for victim in VICTIMS]
    index, _ = index_accepted(world_of(accepted), None, {}, PlanChecks())
    found = []
    for attempt in attempts():
        try:
            document = parse(copy.deepcopy(attempt.document))
        except Invalid:
            found.append((attempt, False))
            continue
        taken = not rejections(document, index, PlanChecks())
        found.append((attempt, taken))
        if taken:
            index.add(document)
            accepted.append(document)
    return accepted, found


def rendered(documents):
    """Return what Istio would read; each model answers by itself, with its name."""
    models = {
        names.identity(document.namespace, document.name): f"{document.namespace}/{document.name}"
        for document in documents
        if document.kind == "Model"
    }
    plan = plan_once(world_of(documents), models)
    assert all(verdict.accepted for verdict in plan.admission.values())
    desired = Renderer().render(plan)
    return config_of([*desired.objects.values(), *desired.slots.values()])


def spellings(host: str, path: str):
    """Yield words in which a client may ask for a host and path."""
    for name in (host, host.upper(), f"{host}:8080", f"{host}."):
        tail = path.rstrip("/")
        yield from ((name, path), (name, f"{tail}/below"), (name, f"{path}?x=/ranking"), (name, f"{tail}/%2e%2e/x"))
        yield from ((name, f"/{path}"), (name, f"/x/..{path}"), (name, path.upper()), (name, f"/v3/../{path}"))


def test_what_could_take_from_others_is_refused_and_what_could_not_is_accepted():
    _, found = judged()
    assert len(found) >= 350
    assert sum(attempt.harmless for attempt, _ in found) >= 25
    wrong = [(a.document["metadata"]["name"], a.document["spec"]) for a, taken in found if taken != a.harmless]
    assert wrong == []


@pytest.mark.xdist_group("envoy")
async def test_no_request_for_a_host_is_answered_by_somebody_else(tmp_path):
    documents, _ = judged()
    owners = {SEARCH: {"search", "ranking"}, API: {"search"}, MAPS: {"maps"}, IDNA: {"maps"}}
    async with running_envoy(tmp_path) as envoy:
        await envoy.load(snapshot(rendered(documents), envoy.pod({"istio": "shared"}, "inference-gw")))
        assert envoy.ads.rejections == []
        for (host, path), victim in VICTIM_ROUTES.items():
            assert await ask(envoy.address, host, path) == victim
            for name, words in spellings(host, path):
                answer = await ask(envoy.address, name, words)
                tenant = answer.partition("/")[0]
                assert tenant in owners[host] or re.fullmatch("4..|30.", answer), (name, words, answer)
        assert await ask(envoy.address, SEARCH, "/ranking/v2") == "404"
        assert await ask(envoy.address, "mallory.models.example.com", "/v1/rank") == "mallory/own"
