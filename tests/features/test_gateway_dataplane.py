"""What runs at a gateway: slots, what each pod runs of them, its load and certificates, for those who may know."""

import json
from datetime import UTC, datetime, timedelta

from k8s_manager.world.certificate import AHEAD
from tests.features.test_cli import tidegate
from tests.features.test_config_probe import SLOT, proved, search
from tests.support.certificates import secret
from tests.support.documents import gateway, labels, tenant
from tests.support.waiting import until

PATH = "/v1/gateways/shared/dataplane"
HOST = "search.models.example.com"

__all__ = ["search"]


async def dataplane(rest):
    status, found = await rest.call("GET", PATH)
    assert status == 200, found
    return found


def run(found, slot=SLOT):
    (pod,) = (pod for pod in found["pods"] if pod["state"] != "NotAsked")
    (line,) = (line for line in pod["slots"] if line["slot"] == slot)
    return line


def written(found, slot=SLOT):
    (line,) = (line for line in found["slots"] if line["slot"] == slot)
    return line


async def test_a_pod_shows_the_revision_that_is_written_and_since_when(search):
    await proved(search, 20)
    found = await dataplane(search.calls)
    slot, shown = written(found), run(found)
    assert found["probed"] and (slot["use"], slot["limits"], slot["models"]) == ("quiet", 1, ["search/ranker"])
    assert (shown["state"], shown["revision"]) == ("Applied", slot["revision"])
    assert abs(datetime.fromisoformat(shown["since"]) - datetime.now(UTC)) < timedelta(minutes=5)
    await search.pod("search", labels())

    async def is_applied():
        found = await dataplane(search.calls)
        is_new = written(found)["revision"] != slot["revision"]
        return is_new and run(found)["state"] == "Applied" and written(found)["effectSeconds"] is not None

    await until(is_applied, "another revision being applied, with the time that it took")


async def test_the_command_line_shows_the_same(search):
    await proved(search, 20)
    found = await dataplane(search.calls)
    server = str(search.calls._session._base_url).rstrip("/")
    code, out, error = await tidegate("describe", "gateway", "shared", server=server)
    assert (code, error) == (0, ""), error
    cells = [line.split() for line in out.splitlines()]
    assert [str(SLOT), "quiet", "1", written(found)["revision"]] in [line[:4] for line in cells], out
    (pod,) = found["pods"]
    assert any(line[:2] == [pod["pod"], "Applied"] for line in cells), out
    assert f"{found['load']['state']}: " in out
    code, out, _ = await tidegate("describe", "gateway", "shared", "-o", "json", server=server)
    (item,) = json.loads(out)["items"]
    assert item["dataplane"]["slots"] and item["dataplane"]["gateway"] == "shared"


async def test_a_pod_that_refuses_a_slot_shows_what_it_runs_instead(search):
    await proved(search, 20)
    before = written(await dataplane(search.calls))["revision"]
    search.gateway_pod.refuses = lambda limits: any(bucket.rate == 40 for _, bucket in limits)
    await search.pod("search", labels())

    async def is_rolled_back():
        found = await dataplane(search.calls)
        return written(found)["rolledBack"] and run(found)["revision"] == before

    await until(is_rolled_back, "the slot being rolled back")


async def test_a_silent_pod_says_since_when(search):
    await proved(search, 20)
    search.gateway_pod.silent = True

    async def is_silent():
        (pod,) = (await dataplane(search.calls))["pods"]
        return pod["state"] == "NoAnswer" and pod["silentSince"] and pod["slots"][0]["state"] == "NoAnswer"

    await until(is_silent, "the pod that does not answer")


async def test_certificates_are_shown_with_their_end_and_never_their_key(fleet):
    now = datetime.now(UTC)
    listeners = [
        {"name": "https", "port": 8443, "protocol": "HTTPS"},
        {"name": "wild", "port": 9443, "protocol": "HTTPS", "domain": "apps.example.com", "credentialName": "wild"},
    ]
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        hosts = [{"name": HOST, "tls": {"credentialName": "own"}}]
        await fleet.apply(gateway(listeners=listeners), tenant(hosts=hosts))
        await fleet.apply(secret(now + 2 * AHEAD, "*.apps.example.com", name="wild", namespace="inference-gw"))

        async def are_known():
            lines = (await dataplane(rest))["certificates"]
            return [(line["secret"], line["tenant"], line["state"]) for line in lines] == [
                ("inference-gw/own", "search", "Absent"),
                ("inference-gw/wild", None, "Valid"),
            ]

        await until(are_known, "both certificates")
        absent, wild = (await dataplane(rest))["certificates"]
        assert "create it with a certificate for" in absent["message"] and absent["notAfter"] is None
        assert wild["certifies"] == wild["hosts"] == ["*.apps.example.com"] and wild["notBefore"] < wild["notAfter"]
        assert not (await dataplane(rest))["probed"]
        assert "PRIVATE" not in str(await dataplane(rest))
