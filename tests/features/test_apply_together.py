"""Of several documents none is written if one is wrong, or the fleet rejects one; and they are planned together."""

import pytest
import yaml

from tests.features.conftest import make_search
from tests.features.test_cli import tidegate
from tests.features.test_overrides import override
from tests.support.documents import gateway, model, tenant


@pytest.fixture
async def server(fleet):
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        await make_search(fleet)
        yield f"http://127.0.0.1:{rest._session._base_url.port}"


def rival(name="rival", **spec):
    return tenant(name, **{"hosts": [{"name": "search.models.example.com"}], **spec})


def taking(name, namespace="search"):
    """Return a model on the path of another."""
    return model(name, namespace, routes=model()["spec"]["routes"])


REJECTED = {
    "a host of another tenant": ([tenant("ads"), rival()], "Tenant rival"),
    "a path of another model": ([tenant("ads"), taking("thief")], "Model search/thief"),
    "a gateway that is not there": ([tenant("ads"), tenant("lost", gateway={"name": "nowhere"})], "Tenant lost"),
    "a tenant that is not there": ([tenant("ads"), model("orphan", "nobody")], "Model nobody/orphan"),
    "a namespace of another tenant": ([tenant("ads"), tenant("thief", namespace="search", hosts=[{"name": "t.example.com"}])], "Tenant thief"),
    "an override of what is not there": ([tenant("ads"), override("o", target={"tenant": "none"}, total=3)], "LimitOverride tidegate-system/o"),
    "an override that has ended": ([tenant("ads"), override("o", total=3, seconds=-9)], "LimitOverride tidegate-system/o"),
}  # fmt: skip


@pytest.mark.parametrize("case", REJECTED)
async def test_none_is_written_if_the_fleet_rejects_one(fleet, server, tmp_path, case):
    documents, called = REJECTED[case]
    file = tmp_path / "both.yaml"
    file.write_text(yaml.safe_dump_all(documents))
    code, out, error = await tidegate("apply", "-f", str(file), server=server)
    assert (code, out) == (2, ""), (out, error)
    assert f"{file} (document 2), line " in error and called in error, error
    assert await fleet.get("Tenant", "ads") is None


async def test_a_tenant_and_its_models_are_dry_run_together_and_then_written(fleet, server):
    text = yaml.safe_dump_all([model("bidder", "ads"), tenant("ads")])
    code, out, error = await tidegate("apply", "--dry-run", "-f", "-", server=server, stdin=text)
    assert (code, error) == (0, "")
    assert "Tenant ads created (dry run)\nModel ads/bidder created (dry run)\n" in out
    assert "create VirtualService ads/bidder" in out and "create Namespace ads" in out
    assert await fleet.get("Tenant", "ads") is None
    code, out, error = await tidegate("plan", "-f", "-", server=server, stdin=text)
    assert code == 0 and out.startswith("Model ads/bidder, Tenant ads: "), error
    code, out, error = await tidegate("apply", "-f", "-", server=server, stdin=text)
    assert (code, error) == (0, "") and out.count(" created") == 2


async def test_what_is_wrong_in_itself_is_named_by_file_line_and_namespace(server, tmp_path):
    broken = model("broken")
    broken["spec"]["routes"][0]["pth"] = "/x"
    (tmp_path / "a.yaml").write_text(yaml.safe_dump_all([gateway(), broken]))
    (tmp_path / "b.yaml").write_text(yaml.safe_dump({**tenant("ads"), "spec": {"gateway": 3}}))
    code, _, error = await tidegate("apply", "-f", str(tmp_path), server=server)
    assert code == 2
    line = (tmp_path / "a.yaml").read_text().splitlines().index("    pth: /x") + 1
    assert f"a.yaml (document 2), line {line}: Model search/broken: spec.routes[0].pth: is unknown" in error
    assert "b.yaml, line " in error and "Tenant ads: spec.gateway" in error


async def test_a_document_that_stands_twice_is_named_with_both_places(server, tmp_path):
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(tenant("ads")))
    (tmp_path / "b.yaml").write_text(yaml.safe_dump_all([gateway(), tenant("ads")]))
    code, _, error = await tidegate("apply", "-f", str(tmp_path), server=server)
    assert code == 2 and "stands twice" in error and "a.yaml" in error and "b.yaml (document 2)" in error


async def test_a_tenants_own_override_is_applied(fleet, server):
    await fleet.apply(tenant(rateLimit={"range": {"lowest": 1, "highest": 50}}))
    text = yaml.safe_dump(override("own", "search", target={"model": "ranker"}, total=30))
    code, out, error = await tidegate("apply", "-f", "-", server=server, stdin=text)
    assert (code, out) == (0, "LimitOverride search/own created\n"), error


async def test_advice_is_in_options_of_the_command(server):
    code, _, error = await tidegate("delete", "tenant", "search", server=server)
    assert code == 2 and "--cascade" in error and "?cascade" not in error
    code, _, error = await tidegate("traffic", "search/ranker", "v1=100", server=server)
    assert "=true" not in error
