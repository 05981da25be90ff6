"""What a refused document has is kept, under a certificate that all share too; what became another's is not."""

from dataclasses import replace

from istio_templates.documents import parse
from k8s_manager.offline.offline_world import world_of
from k8s_manager.pipeline.diff import Differ
from k8s_manager.pipeline.plan import plan_once
from k8s_manager.pipeline.render import Renderer
from k8s_manager.world.world import Bound, NamespaceState
from tests.support.documents import HOST, gateway, model, tenant

HTTPS = {"name": "https", "port": 8443, "protocol": "HTTPS", "domain": "models.example.com", "credentialName": "all"}
LENT = [{"name": HOST, "delegations": [{"path": "/ads", "tenant": "ads"}]}]
GUEST = model("guest", "ads", routes=[{"host": HOST, "path": "/ads/v1", "port": 8080}])
AT = (HOST, frozenset(), "/ads/v1", ("ads", "guest"))


def passed(*documents: dict, bound: Bound = Bound(), owned: dict | None = None):  # noqa: B008
    seen = {name: NamespaceState({"tidegate.dev/tenant": name}, False) for name in ("search", "ads", "next")}
    made = gateway(listeners=[HTTPS])
    world = replace(world_of([parse(d) for d in (made, *documents)]), namespaces=seen, bound=bound)
    plan = plan_once(world, {})
    desired = Renderer().render(plan)
    return desired.objects, Differ().diff(plan, desired, owned or {}, 1, world.limited)


def shared(objects: dict) -> list[str]:
    (found,) = [obj for key, obj in objects.items() if key.kind == "Gateway" and key.name == "gateway-shared"]
    return found["spec"]["servers"][0]["hosts"]


def routes(objects: dict) -> dict:
    return {key: obj for key, obj in objects.items() if key.kind == "VirtualService"}


def test_the_hosts_of_a_refused_tenant_stay_in_the_shared_server():
    mine = model()
    objects, _ = passed(tenant(), mine)
    assert shared(objects) == ["search/*.models.example.com"]
    bound = Bound((), ((HOST, "search"),), ((HOST, frozenset(), "/v2/models/ranker", ("search", "ranker")),))
    objects, changes = passed(tenant(gateway={"name": "absent"}), mine, bound=bound, owned=routes(objects))
    assert shared(objects) == ["search/*.models.example.com"] and changes.deletes == []


def test_the_route_of_a_guest_goes_when_leave_ends_or_the_host_is_the_next_owners():
    objects, _ = passed(tenant(hosts=LENT), tenant("ads"), GUEST)
    assert shared(objects) == ["ads/*.models.example.com", "search/*.models.example.com"]
    bound = Bound((), ((HOST, "ads"),), (AT,))
    for owner in (tenant(), tenant("next", HOST)):
        _, changes = passed(owner, tenant("ads"), GUEST, bound=bound, owned=routes(objects))
        assert [obj["metadata"]["name"] for obj in changes.deletes] == ["guest"], owner
    # While nobody has the host, nobody is harmed.
    _, changes = passed(tenant("ads"), GUEST, bound=bound, owned=routes(objects))
    assert changes.deletes == []


def test_a_guest_has_no_claim_to_the_host_on_which_it_is_served():
    for owner in (tenant(), tenant(hosts=LENT), tenant("next", HOST)):
        objects, _ = passed(owner, tenant("ads"), GUEST, bound=Bound((), ((HOST, "ads"),), (AT,)))
        assert any(key.kind == "Namespace" and key.name == owner["metadata"]["name"] for key in objects), owner
