"""Pairs of models whose routes may meet: parted by something else than age, or rejected. Shown by a real Envoy."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istio_templates import names
from istio_templates.documents import parse
from k8s_manager.admission.route_order import may_meet
from k8s_manager.offline.offline_world import world_of
from k8s_manager.pipeline.plan import plan_once
from k8s_manager.pipeline.render import Renderer
from k8s_manager.standalone.translator.snapshot import snapshot
from tests.support.documents import gateway, model, tenant
from tests.support.envoy import ask, config_of, running_envoy
from tests.tenancy.overlaps import route

PAIRS = 1000
PATHS = ("/", "/a", "/a/b", "/a/b/c", "/ab", "/b")
HEADERS = ({}, {}, {"x-tier": "gold"}, {"x-tier": "lead"}, {"x-beta": "1"}, {"x-tier": "gold", "x-beta": "1"})
CARRIED = ({}, {"x-tier": "gold"}, {"x-tier": "lead", "x-beta": "1"}, {"x-tier": "gold", "x-beta": "1"})
headers = st.frozensets(st.tuples(st.sampled_from("abc"), st.sampled_from("12")), max_size=3).filter(
    lambda pairs: len(dict(pairs)) == len(pairs)
)


@given(one=headers, other=headers)
def test_headers_meet_where_one_request_can_carry_both(one, other):
    carried = dict(one) | dict(other)
    assert may_meet(one, other) == (one <= carried.items() and other <= carried.items())
    assert may_meet(one, other) == may_meet(other, one)


class Pair:
    """Two models of one host."""

    def __init__(self, number: int, chance: random.Random) -> None:
        self.host = f"h{number}.search.models.example.com"
        self.routes = [(chance.choice(PATHS), chance.choice(HEADERS)) for _ in range(2)]
        self.names = [f"{letter}{number}" for letter in ("old", "young")]
        # A model that serves a second host asks for its hosts by a header, so that `/` is nobody's last resort.
        self.is_wide = chance.random() < 0.2

    def documents(self):
        for name, (path, carried) in zip(self.names, self.routes, strict=True):
            routes = [route(self.host, path, headers=carried)]
            if self.is_wide and name == self.names[0]:
                routes.append(route(f"{name}.else.search.models.example.com", "/"))
            yield parse(model(name, "search", routes=routes))

    def expected(self, accepted, path: str, carried: dict[str, str]) -> str:
        """Return who is to answer, by what the documents declare."""
        fitting = [
            (place != "/" or bool(asked), name)  # a bare `/` stands behind the other
            for name, (place, asked) in zip(self.names, self.routes, strict=True)
            if name in accepted and _contains(place, path) and asked.items() <= carried.items()
        ]
        return f"search/{max(fitting)[1]}" if fitting else "404"


def _contains(place: str, path: str) -> bool:
    return place == "/" or path == place or path.startswith(f"{place}/")


def aged(objects: list[dict], older: str) -> list[dict]:
    """Return objects with the models whose names begin with `older` made first, as a restore may do."""
    out = []
    for obj in objects:
        day = "01" if obj["metadata"]["name"].startswith(older) else "02"
        made = {"creationTimestamp": f"2026-01-{day}T00:00:00Z"} if obj["kind"] == "VirtualService" else {}
        out.append({**obj, "metadata": {**obj["metadata"], **made}})
    return out


@pytest.mark.xdist_group("envoy")
async def test_who_gets_a_request_does_not_depend_on_the_age_of_models(tmp_path):
    chance = random.Random(20261128)
    pairs = [Pair(number, chance) for number in range(PAIRS)]
    around = [parse(gateway()), parse(tenant("search", hosts=[{"name": "*.search.models.example.com"}]))]
    documents = [*around, *(document for pair in pairs for document in pair.documents())]
    closed = {names.identity("search", name): f"search/{name}" for pair in pairs for name in pair.names}
    plan = plan_once(world_of(documents), closed)
    accepted = {key.name for key, result in plan.admission.items() if key.kind == "Model" and result.accepted}
    rejected = 2 * PAIRS - len(accepted)
    assert PAIRS / 5 < rejected < PAIRS  # both happen, and one of two is always taken
    assert all(accepted & set(pair.names) for pair in pairs)
    desired = Renderer().render(plan)
    objects = [*desired.objects.values(), *desired.slots.values()]
    async with running_envoy(tmp_path) as envoy:
        for older in ("old", "young"):
            await envoy.load(snapshot(config_of(aged(objects, older)), envoy.pod({"istio": "shared"}, "inference-gw")))
            assert envoy.ads.rejections == []
            for pair in pairs:
                path, carried = chance.choice(PATHS), chance.choice(CARRIED)
                found = await ask(envoy.address, pair.host, path, carried)
                assert found == pair.expected(accepted, path, carried), (pair.routes, path, carried, older)
                both = pair.routes[0][1] | pair.routes[1][1]  # a request that may fit both
                deeper = max((place for place, _ in pair.routes), key=len)
                found = await ask(envoy.address, pair.host, deeper, both)
                assert found == pair.expected(accepted, deeper, both), (pair.routes, deeper, both, older)
