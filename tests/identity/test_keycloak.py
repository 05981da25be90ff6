"""The console and the API with a real Keycloak: sign-in at its own page, its groups, its short tokens, its machines."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.identity.keycloak import Keycloak, keycloak
from tests.support.standalone import GATEWAY, HOST, Running, ranker, standalone
from tests.support.visitor import ABSENT, Visitor, launched
from tests.support.waiting import until

pytestmark = [pytest.mark.skipif(bool(ABSENT), reason=ABSENT), pytest.mark.asyncio(loop_scope="module")]
MODEL = "tenants/search/models/ranker"


class Place:
    """A standalone whose people and machines are Keycloak's, and a browser."""

    def __init__(self, server: Keycloak, run: Running, browser: Browser) -> None:
        self.server, self.run, self._browser = server, run, browser
        self.base = run.link.split("/console/")[0]

    @asynccontextmanager
    async def person(self, name: str, path: str = "", password: str = "") -> AsyncIterator[Visitor]:
        """Return a browser of its own, signed in at Keycloak's page on the way to a page of the console."""
        context = await self._browser.new_context(viewport={"width": 1280, "height": 900})
        found = Visitor(context, await context.new_page(), self.base)
        await found.show(path)
        await found.page.get_by_role("link", name=f"Sign in at {self.server.issuer}").click()
        await found.page.wait_for_url(f"{self.server.issuer}/**")
        await found.page.get_by_label("Username or email").fill(name)
        await found.page.get_by_label("Password", exact=True).fill(password or f"{name}-password")
        await found.page.get_by_role("button", name="Sign In").click()
        yield found
        await context.close()

    async def whoami(self, token: str) -> tuple[int, str, str]:
        """Return how the API answers a caller, its name, and what it says of a token that it does not take."""
        headers = {"Authorization": f"Bearer {token}"}
        async with self.run.session.get(f"{self.base}/v1/whoami", headers=headers) as answer:
            found = await answer.json()
            return answer.status, found.get("user", ""), found.get("detail", "")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    folder = tmp_path_factory.mktemp("identity")
    async with keycloak(folder) as server, launched() as browser:
        settings = {
            "TIDEGATE_OIDC_ISSUER": server.issuer,
            "TIDEGATE_OIDC_USER_CLAIM": "preferred_username",
            "TIDEGATE_CONSOLE_CLIENT": "tidegate",
        }
        async with standalone(folder / "state", **settings) as run:
            await run.put("/v1/gateways/shared", {"spec": {**GATEWAY["spec"], "managed": {"replicas": 1}}})
            for name, host in (("search", HOST), ("ads", "ads.models.example.com")):
                spec = {"gateway": {"name": "shared"}, "hosts": [{"name": host}], "owners": [f"group:{name}-ml"]}
                await run.put(f"/v1/tenants/{name}", {"spec": spec})
            await run.put(f"/v1/{MODEL}", ranker(0))
            grants = {
                "platform": {"role": "platformOperator", "groups": ["platform"]},
                "deployer": {"role": "tenantAdmin", "users": ["service-account-deployer"], "tenants": ["search"]},
            }
            for name, spec in grants.items():
                await run.put(f"/v1/grants/{name}", {"spec": spec})
            place = Place(server, run, browser)
            await server.register(place.base)
            yield place


async def test_a_person_signs_in_at_keycloak_acts_within_the_own_groups_and_signs_out(place: Place):
    async with place.person("anna", MODEL) as anna:
        page = anna.page
        await page.wait_for_url(f"{place.base}/console/{MODEL}")
        await anna.sees("anna", "a.who")
        form = page.locator("form[action$='/pause']")
        await form.get_by_label("Why; callers get 503").fill("seen by Keycloak")
        await anna.proposes(form)
        await anna.applies()
        _, history = await place.run.rest.call("GET", f"/v1/{MODEL}/history")
        assert "anna" in str(history["items"][0]["by"])
        await anna.show("account")
        await anna.sees("search-ml", "main")
        await anna.sees("tenantAdmin", "main")
        assert anna.complaints == []
        for path, status in (("tenants/ads", 404), ("gateways", 403), ("access", 403)):
            answer = await page.goto(f"{place.base}/console/{path}")
            assert answer is not None and answer.status == status, path
        cookies = await anna.context.cookies(f"{place.base}/console/")
        await page.get_by_role("button", name="Sign out").click()
        await anna.sees("Token", "label")
        await anna.context.add_cookies(cookies)  # type: ignore[arg-type]
        await anna.show(MODEL)
        await page.wait_for_url("**/console/sign-in?**")
        await page.get_by_role("link", name=f"Sign in at {place.server.issuer}").click()
        await page.wait_for_url(f"{place.server.issuer}/**")
        await anna.sees("Password", "label[for=password]")


async def test_another_group_gives_other_rights(place: Place):
    async with place.person("ben", "gateways/shared") as ben:
        await ben.page.wait_for_url(f"{place.base}/console/gateways/shared")
        await ben.sees("inference-gw", "main")
        await ben.show("account")
        await ben.sees("platformOperator", "main")
        await ben.show("tenants/search/models/ranker/history")
        assert await ben.page.get_by_role("button", name="Back to revision").count() == 0
        assert ben.complaints == []


async def test_a_wrong_password_stays_at_keycloak(place: Place):
    async with place.person("anna", password="guessed") as stranger:
        await stranger.sees("Invalid username or password")
        await stranger.show("account")
        await stranger.page.wait_for_url("**/console/sign-in?**")


async def test_tokens_of_seconds_are_renewed_with_what_keycloak_says_meanwhile(place: Place):
    async with place.person("anna", "account") as anna:
        await anna.sees("search-ml", "main")
        await place.server.remove_from_group("anna", "search-ml")

        async def is_out_of_it() -> bool:
            await anna.show("account")
            return "search-ml" not in await anna.page.locator("main").inner_text()

        await until(is_out_of_it, "a token without the group")
        await anna.sees("anna", "a.who")
        await place.server.sign_out_everywhere("anna")

        async def is_signed_out() -> bool:
            await anna.show("account")
            return "/console/sign-in" in anna.page.url

        await until(is_signed_out, "the session ending with the one at Keycloak")


async def test_a_machine_calls_the_api_with_its_own_credentials_until_its_token_has_expired(place: Place):
    token = await place.server.machine_token()
    assert (await place.whoami(token))[:2] == (200, "service-account-deployer")
    status, _, said = await place.whoami(await place.server.machine_token("other"))
    assert status == 401 and "Audience" in said, said

    async def has_expired() -> str:
        return (await place.whoami(token))[2]

    assert "expired" in await until(has_expired, "the token's end")


async def test_a_key_that_keycloak_begins_to_sign_with_is_found(place: Place):
    await place.server.rotate_keys()

    async def is_taken() -> bool:
        return (await place.whoami(await place.server.machine_token()))[0] == 200

    await until(is_taken, "a token of the new key being taken")
