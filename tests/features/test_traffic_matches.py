"""Matches in the whole process: routes, the limit of a matched version, conditions, plans, the command line."""

from typing import Any

from tests.features.conftest import in_slot, is_programmed
from tests.features.test_cli import server, tidegate
from tests.support.documents import gateway, labels, model, tenant
from tests.support.waiting import until

__all__ = ["server"]
RANKER = "/v1/tenants/search/models/ranker"
VERSIONS = [{"name": name, "workload": {"replicas": 2, "image": "example.com/ranker:1"}} for name in ("v1", "v2")]
MATCHES = [{"name": "testers", "headers": {"x-arm": {"exact": "b"}}, "version": "v2"}]
V2 = "/apis/networking.istio.io/v1/namespaces/search/virtual-service/ranker#"
V2 += "outbound|8080|v2|ranker.search.svc.cluster.local"


async def setup(fleet, **spec: Any) -> None:
    await fleet.apply(gateway(), tenant())
    await until(lambda: fleet.get("Namespace", "search"), what="the tenant's namespace")
    await fleet.apply(model(**{"versions": VERSIONS, "trafficMatches": MATCHES, **spec}))
    await fleet.pod("inference-gw", {"istio": "shared"})
    for _ in range(2):
        await fleet.pod("search", labels())
    await until(lambda: is_programmed(fleet, "ranker", "search"), what="the model being programmed")


async def rules(fleet) -> dict[str, dict[str, int]]:
    """Return the weights of every rule of the model's routes."""
    found = await fleet.get("VirtualService", "ranker", "search") or {"spec": {"http": []}}
    return {
        rule["name"]: {part["destination"]["subset"]: part["weight"] for part in rule.get("route", ())}
        for rule in found["spec"]["http"]
    }


async def matched(fleet) -> str | None:
    return (await fleet.condition("Model", "ranker", "TrafficMatched", "search")).get("status")


WEIGHTED, ARM = {"search.ranker.0": {"v1": 100}}, {"search.ranker.0.testers": {"v2": 100}}


async def test_a_match_waits_for_a_warm_replica_and_has_a_bucket_of_its_own(fleet):
    async with fleet.manager():
        await setup(fleet)

        async def is_left_out() -> bool:
            return await rules(fleet) == WEIGHTED and await matched(fleet) == "False"

        await until(is_left_out, what="requests of the match going by the weights")
        pod = await fleet.pod("search", labels(version="v2"))

        async def holds() -> bool:
            limits = {str(identity): rate for identity, rate in (await in_slot(fleet)).items()}
            is_limited = sorted(limits.values()) == [20, 40] and limits[V2] == 20
            return await rules(fleet) == ARM | WEIGHTED and await matched(fleet) == "True" and is_limited

        await until(holds, what="the match, and a limit of what its version serves beside that of the model")
        await fleet.set_ready(pod, False)
        await until(is_left_out, what="the match being left out again")


async def test_a_plan_says_which_requests_move(fleet):
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        await setup(fleet, trafficMatches=[])
        await fleet.pod("search", labels(version="v2"))

        async def planned() -> bool:
            body = {"spec": model(versions=VERSIONS, trafficMatches=MATCHES)["spec"]}
            status, plan = await rest.call("PUT", f"{RANKER}?dryRun=true", body)
            assert status == 200, plan
            said = "requests that match testers come to version v2, whatever the weights are"
            return said in plan["reasons"] and plan["risk"] == "medium"

        await until(planned, what="the plan naming the match")
        wrong = {"spec": model(versions=VERSIONS, trafficMatches=[*MATCHES, *MATCHES])["spec"]}
        status, answer = await rest.call("PUT", RANKER, wrong)
        assert status == 422 and "trafficMatches[0] takes each of its requests" in str(answer)


async def test_the_command_line_says_where_requests_go(fleet, server):
    await setup(fleet)
    await fleet.pod("search", labels(version="v2"))
    await until(lambda: _is_true(fleet), what="the match")

    async def shown(*words: str) -> tuple[int, str, str]:
        return await tidegate("traffic", "search/ranker", *words, server=server)

    _, out, _ = await shown()
    assert out.splitlines() == ["search/ranker: testers: x-arm exact b -> v2", "search/ranker: v1 100 %"]
    _, out, _ = await shown("--header", "X-Arm=b")
    assert "comes to version v2, by match testers" in out
    _, out, _ = await shown("--header", "x-arm=c")
    assert "no match takes such a request; it comes to version v1" in out
    code, _, error = await shown("--header", "x-arm")
    assert code == 2 and "write NAME=VALUE" in error


async def _is_true(fleet) -> bool:
    return await matched(fleet) == "True"


async def test_what_goes_beyond_a_bare_root_path_needs_a_path_of_its_own(fleet):
    """A match on `/` is no fallback: it would take requests of other models on the host, by the age of both."""
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        await setup(fleet)
        host = {"host": "search.models.example.com", "port": 8080}
        root = model("root", routes=[{**host, "path": "/"}], versions=VERSIONS)
        status, _ = await rest.call("PUT", "/v1/tenants/search/models/root?dryRun=true", {"spec": root["spec"]})
        assert status == 200
        root["spec"]["trafficMatches"] = MATCHES
        status, answer = await rest.call("PUT", "/v1/tenants/search/models/root", {"spec": root["spec"]})
        assert status == 409 and "only the age of the models" in str(answer)


STICKY = "tidegate-shared-sticky.search.ranker"


async def test_sticky_weights_are_an_object_of_the_model_and_drain_nothing(fleet):
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        await setup(fleet, trafficMatches=[])
        await fleet.pod("search", labels(version="v2"))
        shares = [{"version": "v1", "weight": 75}, {"version": "v2", "weight": 25}]
        spec = model(versions=VERSIONS, traffic=shares, sticky={"header": "x-user-id"})["spec"]
        _, plan = await rest.call("PUT", f"{RANKER}?dryRun=true", {"spec": spec})
        assert plan["risk"] == "medium", plan["reasons"]
        said = f"create EnvoyFilter inference-gw/{STICKY}: callers are assigned to versions differently"
        assert said in plan["reasons"]
        await fleet.apply(model(versions=VERSIONS, traffic=shares, sticky={"header": "x-user-id"}))

        async def split() -> bool:
            return await rules(fleet) == {"search.ranker.0~sticky": {"v1": 75, "v2": 25}}

        await until(split, what="the weights")
        assert await fleet.get("EnvoyFilter", STICKY, "inference-gw")
        whole = [{"version": "v1", "weight": 100}]
        await fleet.apply(model(versions=VERSIONS, traffic=whole, sticky={"header": "x-user-id"}))

        async def is_plain() -> bool:
            return await rules(fleet) == {"search.ranker.0": {"v1": 100}}

        await until(is_plain, what="a rule with one version, which no patch meets")
        await fleet.apply(model(versions=VERSIONS, traffic=whole))

        async def is_gone() -> bool:
            return await fleet.get("EnvoyFilter", STICKY, "inference-gw") is None

        await until(is_gone, what="the filter leaving with its field")
