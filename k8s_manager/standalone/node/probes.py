"""Probes of a local process: HTTP, TCP, a command."""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any

import aiohttp

Object = dict[str, Any]


@dataclass(slots=True)
class Count:
    """Results in a row; `passed` is None until a threshold is reached."""

    good: int = 0
    bad: int = 0
    passed: bool | None = None

    def add(self, success: bool, spec: Object) -> None:
        """Count one result against the thresholds of a probe."""
        self.good, self.bad = (self.good + 1, 0) if success else (0, self.bad + 1)
        if self.good >= spec.get("successThreshold", 1):
            self.passed = True
        elif self.bad >= spec.get("failureThreshold", 3):
            self.passed = False


async def succeeds(spec: Object, container: Object, address: str, variables: dict[str, str]) -> bool:
    """Tell whether one probe succeeds within its timeout."""
    with contextlib.suppress(TimeoutError, OSError, aiohttp.ClientError):
        async with asyncio.timeout(spec.get("timeoutSeconds", 1)):
            if "httpGet" in spec:
                return await _http(spec["httpGet"], container, address)
            if "tcpSocket" in spec:
                _, writer = await asyncio.open_connection(address, port_of(spec["tcpSocket"]["port"], container))
                writer.close()
                return True
            if "exec" in spec:
                return await _exec(spec["exec"]["command"], variables)
    return False


def port_of(port: int | str, container: Object) -> int:
    """Return the number of a port that may be given by its name."""
    if isinstance(port, int):
        return port
    return next((int(p["containerPort"]) for p in container.get("ports", []) if p.get("name") == port), 0)


async def _http(spec: Object, container: Object, address: str) -> bool:
    url = f"http://{spec.get('host', address)}:{port_of(spec['port'], container)}{spec.get('path', '/')}"
    headers = {header["name"]: header["value"] for header in spec.get("httpHeaders", [])}
    async with aiohttp.ClientSession(trust_env=False) as session, session.get(url, headers=headers) as answer:
        return 200 <= answer.status < 400


async def _exec(words: list[str], variables: dict[str, str]) -> bool:
    null = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*words, env=variables, stdout=null, stderr=null)
    try:
        return await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
