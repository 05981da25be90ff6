from aiohttp import ClientSession, web

from collectors import istiod
from tests.support.serving import serving
from tests.support.standalone import free_port

METRICS = """\
# TYPE pilot_total_xds_rejects counter
pilot_total_xds_rejects{type="ecds"} 3
pilot_total_xds_rejects{type="lds"} 0
pilot_xds_pushes{type="ecds"} 900
"""


def test_rejections_are_read_by_type():
    assert istiod.rejects(METRICS) == {"ecds": 3, "lds": 0}
    assert istiod.rejects("pilot_total_xds_rejects NaN\n") == {}


async def test_several_istiods_count_together_and_silent_ones_are_left_out():
    async def answer(_):
        return web.Response(text=METRICS)

    port = free_port()
    async with serving("/metrics", answer, port, "127.0.0.12", "127.0.0.13"), ClientSession() as session:
        found = await istiod.read(session, ["127.0.0.12", "127.0.0.14", "127.0.0.13"], port)
        nobody = await istiod.read(session, ["127.0.0.14"], port)
    assert found == {"ecds": 6} and nobody is None
