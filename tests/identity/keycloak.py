"""A real Keycloak on 127.0.0.1 with the realm of `realm.json`, from the archive that `pom.xml` names."""

import asyncio
import json
import os
import shutil
import subprocess
from asyncio.subprocess import STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.bounds import hung
from tests.support.pages import ROOT
from tests.support.standalone import free_port
from tests.support.waiting import until

PARTS = Path(__file__).parent
JAVA = "-Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
ADMIN = {"KC_BOOTSTRAP_ADMIN_USERNAME": "admin", "KC_BOOTSTRAP_ADMIN_PASSWORD": "admin-password"}
REALM = "fleet"


class Keycloak:
    """A server that runs, and what its administrator does in the realm."""

    def __init__(self, base: str, session: aiohttp.ClientSession) -> None:
        self.base, self._session = base, session
        self.issuer = f"{base}/realms/{REALM}"

    async def register(self, console: str) -> None:
        """Let the client `tidegate` come back to a console at an address."""
        (found,) = await self._administer("GET", "/clients?clientId=tidegate")
        change = {"redirectUris": [f"{console}/console/oidc/callback"]}
        await self._administer("PUT", f"/clients/{found['id']}", {**found, **change})

    async def machine_token(self, client: str = "deployer") -> str:
        """Return a token of a client by its own credentials."""
        form = {"grant_type": "client_credentials", "client_id": client, "client_secret": f"{client}-secret"}
        return str((await self._token(self.issuer, form))["access_token"])

    async def sign_out_everywhere(self, name: str) -> None:
        """End a user's sessions, as an administrator does for one who leaves."""
        (found,) = await self._administer("GET", f"/users?exact=true&username={name}")
        await self._administer("POST", f"/users/{found['id']}/logout")

    async def remove_from_group(self, name: str, group: str) -> None:
        """Take a user out of a group."""
        (user,) = await self._administer("GET", f"/users?exact=true&username={name}")
        (found,) = await self._administer("GET", f"/groups?exact=true&search={group}")
        await self._administer("DELETE", f"/users/{user['id']}/groups/{found['id']}")

    async def rotate_keys(self) -> None:
        """Let the realm sign with another key from now on."""
        config = {"priority": ["200"], "algorithm": ["RS256"], "keySize": ["2048"]}
        kind = {"providerId": "rsa-generated", "providerType": "org.keycloak.keys.KeyProvider"}
        await self._administer("POST", "/components", {"name": "next", "config": config, **kind})

    async def _administer(self, method: str, path: str, body: Any = None) -> Any:
        form = {
            "grant_type": "password",
            "client_id": "admin-cli",
            "username": ADMIN["KC_BOOTSTRAP_ADMIN_USERNAME"],
            "password": ADMIN["KC_BOOTSTRAP_ADMIN_PASSWORD"],
        }
        token = (await self._token(f"{self.base}/realms/master", form))["access_token"]
        where, headers = f"{self.base}/admin/realms/{REALM}{path}", {"Authorization": f"Bearer {token}"}
        async with self._session.request(method, where, json=body, headers=headers) as answer:
            text = await answer.text()
            assert answer.status < 300, text
            return json.loads(text) if text else None

    async def _token(self, realm: str, form: dict[str, str]) -> dict[str, Any]:
        async with self._session.post(f"{realm}/protocol/openid-connect/token", data=form) as answer:
            found: dict[str, Any] = await answer.json()
            assert answer.status == 200, found
            return found


@asynccontextmanager
async def keycloak(folder: Path) -> AsyncIterator[Keycloak]:
    """Run a server until the block ends; everything that it writes is in a folder."""
    home = folder / "keycloak"
    await asyncio.to_thread(shutil.copytree, _unpacked(), home)
    (home / "data" / "import").mkdir(parents=True)
    shutil.copy(PARTS / "realm.json", home / "data" / "import" / f"{REALM}.json")
    port = free_port()
    options = ("--http-host=127.0.0.1", f"--http-port={port}", "--cache=local", "--import-realm")
    environment = {**os.environ, **ADMIN, "JAVA_OPTS": JAVA}
    with (folder / "keycloak.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            "bash", str(home / "bin" / "kc.sh"), "start-dev", *options, stdout=log, stderr=STDOUT, env=environment
        )
    try:
        async with aiohttp.ClientSession(trust_env=False) as session:
            found = Keycloak(f"http://127.0.0.1:{port}", session)

            async def is_up() -> bool:
                assert process.returncode is None, (folder / "keycloak.log").read_text()
                with suppress(aiohttp.ClientError):
                    async with session.get(f"{found.issuer}/.well-known/openid-configuration") as answer:
                        return answer.status == 200
                return False

            await until(is_up, "Keycloak answering for its realm")
            yield found
    finally:
        await _ended(process)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """End the server: its script has become the Java process itself."""
    if process.returncode is None:
        process.terminate()
    with suppress(TimeoutError):
        async with asyncio.timeout(hung()):
            await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()


def _unpacked() -> Path:
    """Return the folder of the server, fetched by Maven the first time and whenever the version changes."""
    folder, pom = ROOT / ".cache" / "keycloak", PARTS / "pom.xml"
    marker = folder / "pom.xml"
    if not marker.exists() or marker.read_text() != pom.read_text():
        if shutil.which("mvn") is None:
            raise RuntimeError("mvn is missing; install it with: apt install maven default-jre-headless")
        shutil.rmtree(folder, ignore_errors=True)
        where = (f"-DoutputDirectory={folder}", f"-DmarkersDirectory={folder}", "-DincludeTypes=zip")
        subprocess.run(["mvn", "-q", "-B", "-f", str(pom), "dependency:unpack-dependencies", *where], check=True)
        marker.write_text(pom.read_text())
    (found,) = folder.glob("keycloak-*")
    return found
