"""The registered versions on a model's page."""

from tests.support.documents import model
from tests.support.waiting import until

ROOT = "/v1/tenants/search/modelversions"


async def test_the_page_of_a_model_lists_its_registered_versions_alone(place, browser):
    rest = place.rest
    auc = {"dataset": "holdout", "metric": "auc", "value": 0.91, "samples": 5000, "at": "2026-11-21T03:00:00Z"}
    registered = {"version": "v2", "image": "example.com/ranker:2", "evaluations": [auc], "cost": 1.5}
    for name in ("ranker", "other"):
        status, _ = await rest.call("POST", ROOT, {**registered, "model": name, "uri": f"s3://models/{name}/2"})
        assert status == 201
    await rest.call("PUT", f"{ROOT}/ranker-v2/block", {"reason": "<b>empty</b> answers"})

    async def is_known() -> bool:
        found = await place.fleet.condition("ModelVersion", "ranker-v2", "Served", "search")
        return found.get("reason") == "Blocked"

    await until(is_known, what="the status of the version")
    page = await browser.get("/console/tenants/search/models/ranker")
    assert "Registered versions" in page.text
    for shown in ("s3://models/ranker/2", "auc 0.91", "holdout", "1.5", "Blocked", "&lt;b&gt;empty&lt;/b&gt; answers"):
        assert shown in page.text, shown
    assert "s3://models/other/2" not in page.text


async def test_a_pin_of_another_person_is_approved_on_the_page(place, browser):
    rest, page = place.rest, "/console/tenants/search/models/ranker"
    assert (await rest.call("POST", ROOT, {"model": "ranker", "version": "v2", "image": "x:2"}))[0] == 201
    pinned = {"by": "anna", "at": "2026-11-21T00:00:00Z"}
    assert (await rest.call("PATCH", f"{ROOT}/ranker-v2", {"spec": {"pinned": pinned}}))[0] == 200

    async def is_shown() -> bool:
        return "Approve the pin of anna" in (await browser.get(page)).text

    await until(is_shown, what="the pin on the page")
    csrf = (await browser.get(page)).form("/sign-out")["csrf"]
    plan = await browser.send(f"{page}/approval", {"csrf": csrf, "name": "ranker-v2", "of": "anna"})
    assert plan.status == 200 and "Approve the pin ranker-v2 of" in plan.text, plan.text
    assert "Done." in (await browser.send("/console/apply", plan.form("/apply"))).text
    assert "approved by" in (await browser.get(page)).text


async def test_the_page_says_which_alias_a_version_has_and_where_it_was_read(place, browser):
    spec = {"model": "ranker", "uri": "s3://models/ranker/7", "aliases": ["champion"]}
    body = {"spec": {**spec, "registry": {"name": "fleet-ranker", "version": "7"}}}
    assert (await place.rest.call("PUT", f"{ROOT}/ranker-v7", body))[0] == 201
    page = await browser.get("/console/tenants/search/models/ranker")
    for shown in ("champion</span>", "MLflow, fleet-ranker 7", "s3://models/ranker/7"):
        assert shown in page.text, shown


async def test_the_page_says_which_version_should_serve_and_on_what_evidence(place, browser):
    for name, day in (("v1", "01"), ("v2", "20")):
        body = {"model": "ranker", "version": name, "image": f"x:{name}", "dataUntil": f"2026-10-{day}T00:00:00Z"}
        assert (await place.rest.call("POST", ROOT, body))[0] == 201
    await place.fleet.apply(model(selection={"strategy": "dataDriven"}))

    async def is_shown() -> bool:
        page = await browser.get("/console/tenants/search/models/ranker")
        return "v2 should serve instead of v1" in page.text and "The data of v2 reaches until" in page.text

    await until(is_shown, what="the choice on the page")
