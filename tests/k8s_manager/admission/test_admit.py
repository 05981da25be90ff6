"""Admission results that are updated equal those of admitting every document again."""

import copy
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from istio_templates.documents import parse
from istio_templates.errors import Invalid
from istio_templates.facts import ObjectKey
from k8s_manager.admission.admit import Admitter
from k8s_manager.admission.claim_index import ClaimIndex
from k8s_manager.offline.offline_world import world_of
from tests.k8s_manager.admission.test_incremental_index import Moments, documents
from tests.support.documents import gateway, model, tenant

PLAN_REF = {"mode": "gate", "planRef": {"name": "p"}}
EDITS = st.sampled_from(
    [
        {"paused": "a test"},
        {"rateLimit": {"perReplicaQps": 5}},
        {"warmup": PLAN_REF},
        {"rateLimit": {"perReplicaQps": 7}},
    ]
)
ROUTED = st.sampled_from(["/x", "/x/y", "/z"]).map(
    lambda path: {"routes": [{"host": "a.example.com", "path": path, "port": 8080}]}
)
ATTACHED = {
    "attachTo": {"virtualService": "n"},
    "routes": [],
    "versions": [{"name": "v1", "existing": {"labels": {"app": "m"}}}],
}


def changes():
    edits = st.tuples(
        st.just("edit"),
        st.sampled_from(["search", "search", "search", "ads"]),
        st.sampled_from(["m", "n"]),
        EDITS | ROUTED | st.just(ATTACHED),
    )
    puts = st.tuples(st.sampled_from(["put", "delete", "accept", "age", "read"]), documents())
    return st.lists(edits | edits | puts, max_size=16)


def edited(moments: Moments, namespace: str, name: str, fields: dict) -> dict | None:
    """Return a model as it is, with other fields."""
    stored = moments.there.get(ObjectKey("Model", namespace, name))
    if stored is None or stored.document is None:
        return None
    spec = stored.document.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {**model(name, namespace), "spec": {**spec, **copy.deepcopy(fields)}}


def put(moments: Moments, raw: dict | None) -> None:
    try:
        if raw is not None:
            moments.put(raw)
    except Invalid:
        return


@settings(max_examples=300)
@given(changes())
def test_updated_results_equal_those_of_admitting_every_document_again(changes):
    moments, admitter = Moments(), Admitter()
    for raw in (
        tenant("search", hosts=[{"name": "a.example.com"}, {"name": "b.example.com"}]),
        model("m", "search", routes=[ROUTE]),
        model("n", "search", routes=[{**ROUTE, "path": "/n"}]),
    ):
        moments.put(raw)
    for what, *about in changes:
        if what == "edit":
            put(moments, edited(moments, *about))
        elif what == "put":
            put(moments, about[0])
        else:
            key = _key(about[0])
            if what == "delete":
                moments.there.pop(key, None)
            elif key in moments.there and what == "accept":
                moments.there[key] = replace(moments.there[key], incumbent=True, accepted_before=True)
            elif key in moments.there and what == "age":
                moments.there[key] = replace(moments.there[key], incumbent=False, accepted_before=True)
            elif key in moments.there:  # read again: equal, and another object
                moments.there[key] = replace(moments.there[key], document=copy.deepcopy(moments.there[key].document))
        world = moments.world()
        assert admitter.admit(world) == Admitter().admit(world)


ROUTE = {"host": "a.example.com", "path": "/x", "port": 8080}


def _key(raw: dict) -> ObjectKey:
    metadata = raw["metadata"]
    return ObjectKey(raw["kind"], metadata.get("namespace", ""), metadata["name"])


def test_a_model_that_claims_what_it_claimed_is_admitted_alone():
    names = [f"t{n}" for n in range(50)]
    raw = [gateway(), *map(tenant, names), *(model("ranker", name) for name in names)]
    admitter, documents = Admitter(), [parse(d) for d in raw]
    admitter.admit(world_of(documents))
    asked: list[str] = []

    class Counting(ClaimIndex):
        def owner(self, host: str) -> str | None:
            asked.append(host)
            return super().owner(host)

    admitter._index.__class__ = Counting
    changed = parse(model("ranker", "t7", paused="a test"))
    world = world_of([*(d for d in documents if (d.namespace, d.name) != ("t7", "ranker")), changed])
    assert all(result.accepted for result in admitter.admit(world).values())
    assert asked == ["t7.models.example.com"]


def test_a_world_without_a_change_is_admitted_as_before():
    documents = [parse(gateway()), parse(tenant())]
    admitter = Admitter()
    assert admitter.admit(world_of(documents)) is admitter.admit(world_of(documents))
