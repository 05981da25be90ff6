"""An index that is updated rejects what an index that is built again rejects."""

import copy
from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from istio_templates.documents import parse
from istio_templates.errors import Invalid
from k8s_manager.admission.admit import Admitter, index_accepted, rejections
from k8s_manager.admission.incremental_index import IncrementalIndex
from k8s_manager.admission.rules.warmup_rules import PlanChecks
from k8s_manager.offline.offline_world import world_of
from k8s_manager.pipeline.plan import Planner
from k8s_manager.world.world import Bound
from tests.support.documents import gateway, model, tenant

TENANTS = ("search", "ads", "maps")
HOSTS = ("a.example.com", "b.example.com", "*.example.com", "c.a.example.com")
PATHS = ("/", "/x", "/x/y", "/z")


def documents():
    hosts = st.lists(st.sampled_from(HOSTS), min_size=1, max_size=2, unique=True)
    lent = st.sampled_from([[], [{"path": "/x", "tenant": "ads"}], [{"path": "/x/y", "tenant": "maps"}]])
    tenants = st.builds(
        lambda name, hosts, lent, at: tenant(
            name, gateway={"name": at}, hosts=[{"name": host, "delegations": lent} for host in hosts]
        ),
        st.sampled_from(TENANTS),
        hosts,
        lent,
        st.sampled_from(["shared", "shared", "late"]),
    )
    routes = st.lists(st.tuples(st.sampled_from(HOSTS[:2]), st.sampled_from(PATHS)), min_size=1, max_size=2)
    models = st.builds(
        lambda namespace, name, routes: model(
            name, namespace, routes=[{"host": host, "path": path, "port": 8080} for host, path in routes]
        ),
        st.sampled_from(TENANTS),
        st.sampled_from(["m", "n"]),
        routes,
    )
    return tenants | models | st.sampled_from([gateway(), gateway("late", "late-gw")])


def changes():
    change = st.tuples(st.sampled_from(["put", "delete", "pass", "bind", "promise"]), st.booleans(), documents())
    return st.lists(change, max_size=12)


class Moments:
    """Documents as an API server holds them, moment after moment."""

    def __init__(self) -> None:
        self.there, self.uid, self.bound = {}, 0, Bound()
        self.put(gateway())

    def put(self, raw) -> None:
        document = parse(copy.deepcopy(raw))
        stored = world_of([document]).documents()[0]
        self.uid += 1
        before = self.there.get(stored.key) or replace(
            stored, uid=str(self.uid), created=f"{self.uid:06}", generation=0
        )
        self.there[stored.key] = replace(before, document=document, generation=before.generation + 1)

    def world(self):
        kinds = {kind: [] for kind in ("InferenceGateway", "Tenant", "Model")}
        for key, stored in self.there.items():
            kinds[key.kind].append(stored)
        gateways, tenants, models = (tuple(found) for found in kinds.values())
        return replace(world_of([]), gateways=gateways, tenants=tenants, models=models, bound=self.bound)


def said(document, index):
    return sorted((found.reason, found.problem.field) for found in rejections(document, index, PlanChecks()))


def on(name, *hosts, lent=()):
    return tenant(name, hosts=[{"name": host, "delegations": list(lent)} for host in hosts])


def at(namespace, path, host="a.example.com"):
    return model("m", namespace, routes=[{"host": host, "path": path, "port": 8080}])


@settings(max_examples=200)
@given(changes(), documents())
@example(
    [("bind", False, at("search", "/")), ("put", False, on("search", "*.example.com"))], on("ads", "a.example.com")
)
@example(
    [
        ("put", False, on("search", "a.example.com")),
        ("put", False, on("ads", "a.example.com")),
        ("put", False, at("search", "/x")),
        ("bind", False, at("ads", "/")),
    ],
    on("search", "a.example.com", lent=[{"path": "/x", "tenant": "ads"}]),
)
def test_it_rejects_what_an_index_built_again_rejects(changes, asked):
    try:
        proposed = parse(copy.deepcopy(asked))
    except Invalid:
        return
    moments, incremental, planner = Moments(), IncrementalIndex(PlanChecks()), Planner()
    world = moments.world()
    last, plan = world, planner.plan(world, Admitter(PlanChecks()).admit(world), {})

    def rebuilt(last, plan):
        return index_accepted(moments.world(), last, plan.admission, PlanChecks())[0]

    def compare(index, last, plan, promised):
        again = rebuilt(last, plan)
        for document in promised:
            again.add(document)
        assert said(proposed, index) == said(proposed, again)

    for what, arrives, raw in changes:
        try:
            document = parse(copy.deepcopy(raw))
        except Invalid:
            continue
        key = world_of([document]).documents()[0].key
        if what == "put":
            moments.put(raw)
        elif what == "delete":
            moments.there.pop(key, None)
        elif what == "bind":
            routes = tuple((r.host, frozenset(), r.path, key[1:]) for r in getattr(document.spec, "routes", ()))
            moments.bound = Bound((), tuple((host, key.namespace) for host, *_ in routes), routes)
        elif what == "promise" and not rejections(document, rebuilt(last, plan), PlanChecks()):
            compare(incremental.update(moments.world(), last, plan.admission, {key: document}), last, plan, [document])
            if arrives:
                moments.put(raw)
        else:
            last = moments.world()
            plan = planner.plan(last, Admitter(PlanChecks()).admit(last), {})
        compare(incremental.update(moments.world(), last, plan.admission, {}), last, plan, [])
