"""The main job end to end: documents in, routed and limited models out, on real Envoys."""

import asyncio
import hashlib
import os
import re
import signal
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import grpc
import pytest

from istio_templates.envoy_filter import limits_of, revision
from istio_templates.facts import GatewayPool, SlotFacts
from tests.support.bucket import admissible
from tests.support.standalone import (
    GATEWAY,
    HOST,
    PATH,
    QUICK,
    Running,
    collector_process,
    manager_process,
    offer,
    ranker,
    standalone,
)
from tests.support.waiting import until

pytestmark = pytest.mark.xdist_group("standalone")
RANKER = "/v1/tenants/search/models/ranker"
PLAN = {
    "target": {"protocol": "oip-rest", "port": 8080, "model": "ranker"},
    "cases": [{"name": "typical", "inputs": {"features": {"dtype": "FP32", "shape": [-1, 4]}}}],
    "success": {"latency": {"max": "2s"}},
}


async def make_search(run: Running, **spec) -> list[str]:
    """Make a gateway with two pods, a tenant and a model with two replicas; return the gateways' addresses."""
    await run.put("/v1/gateways/shared", GATEWAY)
    await run.put("/v1/tenants/search", {"spec": {"gateway": {"name": "shared"}, "hosts": [{"name": HOST}]}})
    await run.put(RANKER, ranker(rateLimit={"perReplicaQps": 20, "debounce": QUICK}, **spec))
    addresses = await run.gateways()
    await run.enforced(40)
    await until(lambda: run.serves(addresses), "a 200 from each gateway pod")
    return addresses


async def test_requests_are_routed_limited_and_explained_and_a_restart_goes_on(tmp_path):
    async with standalone(tmp_path) as run:
        addresses = await make_search(run)
        body = {"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 4], "data": [0.9, 0.2, 0.7, 0.1]}]}
        await asyncio.sleep(0.3)
        async with run.session.post(f"http://{addresses[0]}{PATH}/infer", json=body, headers={"Host": HOST}) as answer:
            assert answer.status == 200
            assert 0.9 < (await answer.json())["outputs"][0]["data"][0] < 1
        async with run.session.get(f"http://{addresses[0]}/v2/models/ranker2", headers={"Host": HOST}) as answer:
            assert answer.status == 404
        async with run.session.get(f"http://{addresses[0]}{PATH}", headers={"Host": "ads.example.com"}) as answer:
            assert answer.status == 404
        load = await offer(addresses, 120, 4)
        assert set(load.answers) == {200, 429} and not load.errors
        assert load.retry_after == load.answers[429]
        least, most = admissible(load.sent.values(), 20)
        assert least <= load.answers[200] <= most
        await run.rest.call("PUT", f"{RANKER}/versions/v1/scale", {"replicas": 4})
        await run.enforced(80)
        raised = await offer(addresses, 160, 3)
        least, most = admissible(raised.sent.values(), 40)
        assert least <= raised.answers[200] <= most
        await run.rest.call("PUT", f"{RANKER}/versions/v1/scale", {"replicas": 1})
        await run.limit(20)
    async with standalone(tmp_path) as again:
        addresses = await again.gateways()
        await until(lambda: again.serves(addresses), "a 200 after the restart")
        assert (await again.rest.call("GET", f"{RANKER}/limit"))[1]["total"] == 20


async def test_the_collector_counts_what_was_asked_also_when_it_was_killed_meanwhile(tmp_path):
    async with standalone(tmp_path) as run:
        addresses = await make_search(run)
        before = await until(lambda: counted(run, tmp_path), "the requests until now being counted")
        load = await offer(addresses, 120, 3)
        assert set(load.answers) == {200, 429} and not load.errors
        now = await until(lambda: counted(run, tmp_path, sum(before.values()) + sum(load.answers.values())), "the load")
        assert now["limited"] - before.get("limited", 0) == load.answers[429]
        assert now["ok"] - before.get("ok", 0) == load.answers[200]
        killed = collector_process(tmp_path)
        os.kill(killed, signal.SIGKILL)
        await until(lambda: started_again(run, tmp_path, killed), "another collector")
        again = await offer(addresses, 120, 3)
        found = await until(lambda: counted(run, tmp_path, sum(again.answers.values())), "the second load")
        assert found["limited"] == again.answers[429], "what was there before the start is no burst"


async def started_again(run: Running, folder: Path, killed: int) -> bool:
    """Tell whether a collector serves that is not the one that was killed."""
    try:
        return collector_process(folder) != killed and await counted(run, folder, 0) is not None
    except AssertionError:
        return False


async def counted(run: Running, folder: Path, at_least: int = 1) -> dict[str, int] | None:
    """Return the requests of the model by outcome, as soon as the collector shows so many."""
    port = int((folder / "collector-port").read_text())
    try:
        async with run.session.get(f"http://127.0.0.1:{port}/metrics") as answer:
            page = await answer.text()
    except aiohttp.ClientError:
        return None
    found = re.findall(r'^tidegate_requests_total\{model="ranker",outcome="(\w+)".*\} (\S+)$', page, re.MULTILINE)
    counts = {outcome: int(float(count)) for outcome, count in found}
    return counts if sum(counts.values()) >= at_least else None


async def test_one_get_at_a_gateway_pod_tells_the_revision_of_every_slot(tmp_path):
    async with standalone(tmp_path) as run:
        (first, _) = await make_search(run)
        _, shared = await run.rest.call("GET", "/v1/gateways/shared")
        secret = hashlib.sha256(f"tidegate probe {shared['metadata']['uid']}".encode()).hexdigest()[:32]
        filters = (await run.kubernetes("/apis/networking.istio.io/v1alpha3/namespaces/inference-gw/envoyfilters"))[
            "items"
        ]
        pool = GatewayPool("shared", "inference-gw", (), (), None, secret)
        slots = [obj for obj in filters if "-slot-" in obj["metadata"]["name"]]
        wanted = {revision(SlotFacts(pool, int(obj["metadata"]["name"][-2:]), limits_of(obj))) for obj in slots}
        headers = {"Host": "probe.tidegate.internal", "x-tidegate-probe": secret}

        async def shown() -> bool:
            async with run.session.get(f"http://{first}/", headers=headers) as answer:
                found = {int(value.split(",")[0]) for value in answer.headers.getall("x-ratelimit-limit")}
                return (answer.status, found) == (204, wanted)

        await until(shown, "every slot's revision, the one that was written last too")
        async with run.session.get(f"http://{first}/", headers={**headers, "x-tidegate-probe": "guessed"}) as answer:
            assert answer.status == 404
        async with run.session.get(f"http://{first}{PATH}", headers={"Host": HOST}) as answer:
            assert "x-ratelimit-limit" not in answer.headers


async def is_quiet(run) -> bool:
    """Tell whether nothing is written for a second."""
    before = await run.api_writes()
    await asyncio.sleep(1)
    return await run.api_writes() == before


async def test_a_manager_that_is_killed_leaves_traffic_and_limits_alone_and_writes_nothing_when_it_comes_back(tmp_path):
    async with standalone(tmp_path, "--without-manager") as run:
        async with manager_process(tmp_path) as manager:
            await until(run.rest.up, "the manager's API")
            addresses = await make_search(run)
            await until(lambda: is_quiet(run), "the manager writing nothing more")
            loading = asyncio.create_task(offer(addresses, 120, 6))
            await asyncio.sleep(1.5)
            manager.send_signal(signal.SIGKILL)
            await manager.wait()
            load = await loading
        assert set(load.answers) == {200, 429} and not load.errors
        least, most = admissible(load.sent.values(), 20)
        assert least <= load.answers[200] <= most
        before = await run.api_writes()
        async with manager_process(tmp_path):
            await until(run.rest.up, "the manager's API")
            await asyncio.sleep(2)
            assert await run.api_writes() == before


async def test_grpc_is_limited_with_resource_exhausted(tmp_path):
    server = Path(__file__).parents[1] / "support" / "grpc_model.py"
    env = [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
    workload = {
        "replicas": 2,
        "image": "example.com/grpc:1",
        "command": ["python", str(server), "$(POD_IP):8001"],
        "env": env,
    }
    route = {
        "host": HOST,
        "path": "/inference.GRPCInferenceService",
        "headers": {"x-model": "ranker"},
        "protocol": "grpc",
        "port": 8001,
    }
    async with standalone(tmp_path) as run:
        await run.put("/v1/gateways/shared", GATEWAY)
        await run.put("/v1/tenants/search", {"spec": {"gateway": {"name": "shared"}, "hosts": [{"name": HOST}]}})
        limit = {"perReplicaQps": 20, "debounce": QUICK}
        await run.put(RANKER, ranker(routes=[route], versions=[{"name": "v1", "workload": workload}], rateLimit=limit))
        (first, _) = await run.gateways()
        await run.limit(40)
        async with grpc.aio.insecure_channel(first, options=[("grpc.default_authority", HOST)]) as channel:
            call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")

            async def answers() -> bool:
                try:
                    return await call(b"x", metadata=[("x-model", "ranker")]) == b"x"
                except grpc.aio.AioRpcError:
                    return False

            await until(answers, "an answer over gRPC")
            codes = []
            for _ in range(40):
                try:
                    await call(b"x", metadata=[("x-model", "ranker")])
                except grpc.aio.AioRpcError as error:
                    told = dict((*(error.initial_metadata() or ()), *(error.trailing_metadata() or ())))
                    codes.append((error.code(), told.get("retry-after")))
            assert codes and set(codes) == {(grpc.StatusCode.RESOURCE_EXHAUSTED, "1")}
            with pytest.raises(grpc.aio.AioRpcError) as unrouted:
                await call(b"x")
            assert unrouted.value.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_pods_that_cannot_run_here_say_why(tmp_path):
    everywhere = ["python", "-m", "http.server", "8080"]
    versions = [
        {"name": "all", "workload": {"replicas": 2, "image": "example.com/a:1", "command": everywhere}},
        {"name": "none", "workload": {"replicas": 1, "image": "example.com/b:1"}},
    ]
    traffic = [{"version": "all", "weight": 100}]
    async with standalone(tmp_path) as run:
        await run.put("/v1/gateways/shared", GATEWAY)
        await run.put("/v1/tenants/search", {"spec": {"gateway": {"name": "shared"}, "hosts": [{"name": HOST}]}})
        await run.put(RANKER, ranker(versions=versions, traffic=traffic))

        async def messages() -> str:
            pods = (await run.kubernetes("/api/v1/namespaces/search/pods"))["items"]
            return str(
                [status["state"] for pod in pods for status in pod.get("status", {}).get("containerStatuses", [])]
            )

        async def collided() -> bool:
            said = await messages()
            return "listens on all addresses collides" in said and "$(POD_IP)" in said and "give command" in said

        await until(collided, "messages that say what is wrong")


async def test_a_container_that_dies_is_started_again_and_its_log_kept(tmp_path):
    async with standalone(tmp_path) as run:
        addresses = await make_search(run)
        pods = (await run.kubernetes("/api/v1/namespaces/search/pods"))["items"]
        victim = pods[0]["metadata"]["name"]
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and await asyncio.to_thread(is_container_of, entry, victim):
                os.kill(int(entry.name), signal.SIGKILL)

        async def restarted() -> bool:
            pod = await run.kubernetes(f"/api/v1/namespaces/search/pods/{victim}")
            status = pod["status"]["containerStatuses"][0]
            return status["restartCount"] == 1 and status["ready"]

        await until(restarted, "the container being started again")
        assert (tmp_path / "pods" / f"search_{victim}" / "model.previous.log").exists()
        await until(lambda: run.serves(addresses))


def is_container_of(entry: Path, pod: str) -> bool:
    try:
        environment = (entry / "environ").read_bytes()
        return f"HOSTNAME={pod}".encode() in environment.split(b"\0")
    except OSError:
        return False


async def test_https_with_a_tenants_own_certificate(tmp_path):
    import base64
    import ssl

    import trustme

    authority = trustme.CA()
    issued = authority.issue_cert(HOST)
    data = {"tls.crt": issued.cert_chain_pems[0].bytes(), "tls.key": issued.private_key_pem.bytes()}
    secret = {
        "metadata": {"name": "search-cert"},
        "data": {name: base64.b64encode(value).decode() for name, value in data.items()},
    }
    listeners = [
        {"name": "http", "port": 8080, "protocol": "HTTP"},
        {"name": "https", "port": 8443, "protocol": "HTTPS"},
    ]
    hosts = [{"name": HOST, "tls": {"credentialName": "search-cert"}}]
    async with standalone(tmp_path) as run:
        await run.put("/v1/gateways/shared", {"spec": {**GATEWAY["spec"], "listeners": listeners}})
        await run.put("/v1/tenants/search", {"spec": {"gateway": {"name": "shared"}, "hosts": hosts}})

        async def waits() -> bool:
            _, found = await run.rest.call("GET", "/v1/tenants/search")
            return any("no Secret search-cert" in c["message"] for c in found.get("status", {}).get("conditions", []))

        await until(waits, "the tenant saying that its certificate is missing")
        headers = {"Authorization": "Bearer " + (tmp_path / "kube-token").read_text().strip()}
        async with run.session.post(
            f"{run.kubernetes_server}/api/v1/namespaces/inference-gw/secrets", json=secret, headers=headers
        ) as answer:
            assert answer.status == 200
        await run.put(RANKER, ranker(rateLimit={"perReplicaQps": 20, "debounce": QUICK}))
        # Two pods with two listeners each; the first address is of the first pod.
        address = (await run.gateways(pods=2, addresses=4))[0].rsplit(":", 1)[0]
        trust = ssl.create_default_context()
        authority.configure_trust(trust)

        async def secure() -> bool:
            try:
                options = {"ssl": trust, "server_hostname": HOST, "headers": {"Host": HOST}}
                async with run.session.get(f"https://{address}:8443{PATH}", **options) as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        await until(secure, "an answer over HTTPS")
        plain = run.session.get(f"http://{address}:8080{PATH}", headers={"Host": HOST}, allow_redirects=False)
        async with plain as answer:
            assert answer.status == 301
            assert answer.headers["Location"].startswith("https://")


async def test_a_gateway_that_counts_by_endpoint_tells_when_each_replica_got_its_first_request(tmp_path):
    async with standalone(tmp_path) as run:
        counting = {"spec": {**GATEWAY["spec"], "endpointStats": True}}
        await run.put("/v1/gateways/shared", counting)
        await run.put("/v1/tenants/search", {"spec": {"gateway": {"name": "shared"}, "hosts": [{"name": HOST}]}})
        await run.put(RANKER, ranker(warmup={"plan": PLAN}))
        addresses = await run.gateways()
        await run.limit(40)
        await asyncio.sleep(6)  # the gateway pods are read every 5 s
        assert [row.get("firstRequest") for row in await _replicas(run)] == [None, None]
        before = datetime.now(UTC).replace(microsecond=0)
        await offer(addresses, 40, 2)

        async def told():
            return all("firstRequest" in row for row in await _replicas(run))

        await until(told, "the first requests")
        for row in await _replicas(run):
            assert before <= datetime.fromisoformat(row["firstRequest"]) <= datetime.now(UTC)
        assert "tidegate_first_request_seconds_count 2.0" in (await run.rest.call("GET", "/metrics"))[1]


async def _replicas(run):
    return (await run.rest.call("GET", f"{RANKER}/explain?about=ready"))[1]["replicas"]
