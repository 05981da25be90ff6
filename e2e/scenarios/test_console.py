"""The console of managers in a cluster: a link signs in, a page shows what the API tells, a plan is applied."""

import re
from html import unescape
from urllib.parse import urlencode

import aiohttp

from e2e.support.site import Site
from tests.support.waiting import until

_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')


async def test_a_person_sees_a_model_and_scales_it(site: Site, tenant: str):
    await site.make_gateway("shared")
    await site.make_tenant(tenant)
    await site.make_model(tenant, replicas=1)
    await site.until_total(20, tenant)
    status, made = await site.rest.call("POST", "/console/links")
    assert status == 201, made
    base, model = site.login["TIDEGATE_SERVER"].rstrip("/"), f"/console/tenants/{tenant}/models/ranker"
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        async with browser.get(base + made["path"]) as answer:
            assert answer.status == 200 and "<h1>Overview</h1>" in await answer.text()
        async with browser.get(base + model) as answer:
            page = await answer.text()
        assert answer.status == 200 and "Together they can serve 20/s" in page
        csrf = fields(page)["csrf"]
        plan = await sent(browser, f"{base}{model}/scale", {"csrf": csrf, "version": "v1", "replicas": "2"})
        assert "Limit after" in plan
        assert "Done." in await sent(
            browser, f"{base}/console/apply", fields(plan[plan.index('action="/console/apply') :])
        )
    await until(lambda: site.total(tenant), "the model's limit")
    await site.until_total(40, tenant)


def fields(page: str) -> dict[str, str]:
    """Return the hidden fields of a page's forms."""
    return {name: unescape(value) for name, value in _HIDDEN.findall(page)}


async def sent(browser: aiohttp.ClientSession, address: str, form: dict[str, str]) -> str:
    """Send a form; return the page that follows."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    async with browser.post(address, data=urlencode(form), headers=headers) as answer:
        text = await answer.text()
        assert answer.status == 200, text
        return text
