"""`tidegate release`: where a release stands, and every word that an operator may say to it, with reason and audit."""

import json
from urllib.parse import unquote_plus

import pytest

from k8s_manager.runtime.clock import SystemClock
from tests.features.test_cli import server, tidegate
from tests.features.test_release import document
from tests.support.documents import NAMESPACE, gateway, labels, tenant
from tests.support.steady_outcomes import SteadyOutcomes
from tests.support.waiting import until

__all__ = ["server"]
VERBS = ("pause", "resume", "abort", "retry", "promote")
STEPS = [{"weight": 5, "approval": True}, {"weight": 50, "approval": True}]


@pytest.fixture
async def place(fleet, tmp_path):
    """A model whose release to v2 has its first step, which no time and no approval ends yet; and the server."""
    async with (
        fleet.manager(outcomes=SteadyOutcomes(SystemClock())) as manager,
        fleet.rest(manager, audit=str(tmp_path / "trail")) as rest,
    ):
        await fleet.apply(NAMESPACE, gateway(), tenant())
        await until(lambda: fleet.get("Namespace", "search"), what="the tenant's namespace")
        await fleet.apply(document("v1", steps=STEPS, hold="10s"))
        for version in ("v1", "v2"):
            for _ in range(4):
                await fleet.pod("search", labels(version=version))
        await until(lambda: phase(fleet, "Done"), what="v1 answering all requests")
        await fleet.apply(document("v2", steps=STEPS, hold="10s"))
        await until(lambda: phase(fleet, "Running", 5), what="the first step")
        yield f"http://127.0.0.1:{rest._session._base_url.port}"


async def phase(fleet, wanted: str, weight: int | None = None) -> bool:
    found = ((await fleet.get("Model", "ranker", "search") or {}).get("status") or {}).get("rollout") or {}
    return found.get("phase") == wanted and weight in (None, found.get("weight"))


async def test_a_release_is_shown_and_every_verb_is_done_with_its_reason_and_in_the_audit_trail(fleet, place, tmp_path):
    async def release(*words: str) -> str:
        code, out, error = await tidegate("release", "search/ranker", *words, server=place)
        assert code == 0, (words, out, error)
        return out

    async def checked() -> str | None:
        shown = await release()
        return shown if "CHECK" in shown else None

    shown = await until(checked, what="the checks' first results")
    assert "Requests go to v1 95 %, v2 5 %." in shown and "errors" in shown, shown
    assert json.loads(await release("-o", "json"))["release"]["steps"] == 3
    planned = await release("abort", "--dry-run")
    assert "Aborted by" in planned and await phase(fleet, "Running", 5), planned
    for verb, ends in (
        ("pause", ("Paused", 5)),
        ("resume", ("Running", 5)),
        ("abort", ("Aborted", 0)),
        ("retry", ("Running", 5)),
        ("promote", ("Draining", 100)),
        ("abort", ("Aborted", 0)),
    ):
        said = await release(verb, "--reason", f"because of {verb}")
        assert said == f"search/ranker: {verb} is asked for\n"
        await until(lambda ends=ends: phase(fleet, *ends), what=f"{verb} being done")
    assert "because of abort" in await release()
    code, out, _ = await tidegate("audit", "-o", "json", server=place)
    trail = unquote_plus(out)
    assert code == 0 and all(f"reason=because of {verb}" in trail for verb in VERBS), trail
    assert unquote_plus((tmp_path / "trail").read_text()).count("reason=because of") == len(VERBS) + 1


async def test_a_step_that_has_passed_waits_for_its_approval(fleet, place):
    await until(lambda: phase(fleet, "AwaitingApproval", 5), what="the step having passed")
    code, out, _ = await tidegate("release", "search/ranker", "approve", "--reason", "looks good", server=place)
    assert (code, out) == (0, "search/ranker: approve is asked for\n")
    await until(lambda: phase(fleet, "Running", 50), what="the next step")


async def test_what_is_no_verb_is_answered_with_those_that_are(place):
    code, _, error = await tidegate("release", "search/ranker", "jump", server=place)
    assert code == 2 and "promote" in error and "retry" in error, error
