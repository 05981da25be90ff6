import asyncio
import contextlib
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from k8s_manager.runtime.clock import SystemClock
from tests.support.model_server import Cold, model_server
from tests.support.standalone import free_port
from tests.support.waiting import until
from tests.warmup.plans import bundle
from warmup.agent import Agent
from warmup.clients import connect
from warmup.incarnation import listening


@asynccontextmanager
async def agent(file, port, **parts):
    """Run an agent beside a server; yield it."""
    found = bundle(target={"protocol": "oip-rest", "port": port}, **parts)
    made = Agent(
        found,
        file,
        SystemClock(),
        lambda: listening(port),
        lambda: connect(found.spec.target, "127.0.0.1", found.hash, 1),
    )
    working = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working


async def test_a_server_is_ready_once_it_is_warm_and_another_one_on_the_same_port_is_cold_again(tmp_path):
    port, cold = free_port(), Cold(slow_calls=5)
    async with agent(tmp_path / "found.json", port) as found:
        assert not found.ready
        async with model_server(cold, port=port):
            await until(lambda: found.ready, what="the first server")
            assert cold.seen["[[1, 4]]"] >= 10
        assert not found.ready
        again = Cold(slow_calls=5)
        async with model_server(again, port=port):
            assert not found.ready
            await until(lambda: found.ready, what="the second server")
            assert again.seen["[[1, 4]]"] >= 10


async def test_an_agent_that_starts_anew_knows_the_server_that_it_found_warm(tmp_path):
    port, cold = free_port(), Cold()
    async with model_server(cold, port=port):
        async with agent(tmp_path / "found.json", port) as found:
            await until(lambda: found.ready, what="the server")
        before = sum(cold.seen.values())
        async with agent(tmp_path / "found.json", port) as found:
            assert found.ready
            await asyncio.sleep(0.5)
            assert found.ready
        assert sum(cold.seen.values()) == before


async def test_an_agent_that_starts_anew_does_not_take_another_server_for_the_one_it_found_warm(tmp_path):
    port = free_port()
    async with model_server(Cold(), port=port), agent(tmp_path / "found.json", port) as found:
        await until(lambda: found.ready, what="the server")
    async with model_server(Cold(ready_after=10**6), port=port), agent(tmp_path / "found.json", port) as found:
        await asyncio.sleep(0.5)
        assert not found.ready


async def test_half_a_state_is_no_state(tmp_path):
    (tmp_path / "found.json").write_text('{"incarnation": ["1"')
    port = free_port()
    async with model_server(Cold(), port=port), agent(tmp_path / "found.json", port) as found:
        await until(lambda: found.ready, what="the server")


async def test_what_is_not_warm_in_time_stays_closed_or_is_admitted_as_the_plan_says(tmp_path):
    for policy, ready in (("hold", False), ("admit", True)):
        port, file = free_port(), tmp_path / f"{policy}.json"
        server = model_server(Cold(ready_after=10**6), port=port)
        async with server, agent(file, port, timeout="300ms", onTimeout=policy) as found:
            await until(file.exists, what="what was found")
            assert found.ready == ready


async def test_probes_and_people_are_answered(tmp_path):
    port = free_port()
    async with model_server(Cold(), port=port), agent(tmp_path / "found.json", port) as found:
        runner = web.AppRunner(found.app(), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        root = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession() as session:
            await until(lambda: found.ready, what="the server")
            async with session.get(f"{root}/ready") as answer:
                assert answer.status == 200
            async with session.get(f"{root}/status") as answer:
                assert (await answer.json())["found"]["result"] == "Verified"
        await runner.cleanup()


def test_only_sockets_that_listen_on_the_port_are_the_server(tmp_path):
    lines = [
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
        "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100",
        "   1: 0100007F:1F90 0100007F:D2F0 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100",
        "   2: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 100",
    ]
    (tmp_path / "tcp").write_text("\n".join(lines))
    assert listening(8080, tmp_path) == {"4711"}
    assert listening(9999, tmp_path) == set()
