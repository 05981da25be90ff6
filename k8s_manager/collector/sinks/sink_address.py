"""Addresses of sinks, as an operator writes them."""

import re
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from istio_templates.errors import Invalid, Problem
from k8s_manager.collector.kafka.cluster import cluster_of
from k8s_manager.collector.sinks.kafka_sink import KafkaSink
from k8s_manager.collector.sinks.parquet_sink import ParquetSink
from k8s_manager.collector.sinks.row_sink import RowSink
from k8s_manager.collector.sinks.search_credentials import authorization_from, no_authorization
from k8s_manager.collector.sinks.search_sink import SearchSink
from k8s_manager.runtime.clock import Clock

_KAFKA = re.compile(r"kafka://([^/@?#]+)/([A-Za-z0-9._-]{1,249})")
_SEARCH = re.compile(r"https?://[^/@?#]+/?")
RIGHT = "write parquet:/FOLDER, kafka://HOST:PORT,HOST:PORT/TOPIC or http://SEARCH-STORE:9200"


def credentials_of(sinks: Sequence[str], given: Sequence[str]) -> dict[str, Path]:
    """Return the credentials of each sink that has some, of `ADDRESS=FILE`, or of `FILE` alone where one sink takes
    credentials. Raises `Invalid`."""
    takes = [sink for sink in sinks if not sink.startswith("parquet:")]
    out: dict[str, Path] = {}
    for text in given:
        named = next((sink for sink in sinks if text.startswith(f"{sink}=")), None)
        if named is None and ("://" in text or text.startswith("parquet:")):
            raise _unclear(
                text.partition("=")[0], "no --sink has this address; write ADDRESS=FILE as in --sink ADDRESS"
            )
        if named is None and len(takes) != 1:
            why = "several sinks take credentials" if takes else "no sink takes credentials"
            raise _unclear(text, f"{why}; write ADDRESS=FILE, with the ADDRESS of a --sink")
        sink = named or takes[0]
        file = text.removeprefix(f"{sink}=")
        if sink not in takes:
            raise _unclear(sink, "files of rows take no credentials; leave it out")
        if sink in out:
            raise _unclear(sink, "it is given twice; give one file for each sink")
        if not file:
            raise _unclear(sink, "there is no file; write ADDRESS=FILE")
        out[sink] = Path(file)
    return out


def _unclear(subject: str, why: str) -> Invalid:
    shown = subject if "@" not in subject else "an address with credentials"
    return Invalid(f"--sink-credentials {shown}", [Problem("", why)])


def sink_at(address: str, credentials: Path | None, clock: Clock) -> RowSink:
    """Return the sink at an address, which a running event loop uses; `credentials` are for a search store, or
    librdkafka's settings. Raises `Invalid`, or `Stalled` where its library is not installed."""
    if address.startswith("parquet:/"):
        return ParquetSink(Path(address.removeprefix("parquet:")), clock)
    if found := _KAFKA.fullmatch(address):
        return KafkaSink(cluster_of(found[1], credentials), found[2])
    if _SEARCH.fullmatch(address):
        authorization = authorization_from(credentials) if credentials else no_authorization
        return SearchSink(aiohttp.ClientSession(trust_env=False), address, clock, authorization=authorization)
    shown = address if "@" not in address else "an address with credentials"
    raise Invalid(f"--sink {shown}", [Problem("", f"it is no address of a sink; {RIGHT}")])
