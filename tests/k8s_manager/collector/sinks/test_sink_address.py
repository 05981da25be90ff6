"""Addresses of sinks: each kind, and what is none."""

from pathlib import Path

import pytest

from istio_templates.errors import Invalid
from k8s_manager.collector.sinks.sink_address import credentials_of, sink_at
from k8s_manager.runtime.clock import SystemClock


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("parquet:/FOLDER", "/FOLDER"),
        ("kafka://a:9092,b:9092/rows", "the topic rows at a:9092,b:9092"),
        ("http://search:9200", "http://search:9200/tidegate-rows"),
    ],
)
async def test_each_kind_has_an_address(address: str, name: str, tmp_path: Path) -> None:
    sink = sink_at(address.replace("/FOLDER", str(tmp_path)), None, SystemClock())
    assert sink.name == name.replace("/FOLDER", str(tmp_path))
    await sink.close()


@pytest.mark.parametrize(
    "address", ["", "rows", "parquet:rows", "kafka://a:9092", "kafka://a:9092/a b", "ftp://a", "https://a:9200/b/c"]
)
async def test_what_is_no_address_is_told(address: str) -> None:
    with pytest.raises(Invalid) as found:
        sink_at(address, None, SystemClock())
    assert "parquet:/FOLDER" in str(found.value)


async def test_a_password_in_an_address_is_not_repeated() -> None:
    with pytest.raises(Invalid) as found:
        sink_at("http://user:secret@search:9200", None, SystemClock())
    assert "secret" not in str(found.value)


KAFKA, SEARCH, FILES = "kafka://a:9092/rows", "https://search:9200", "parquet:/rows"


@pytest.mark.parametrize(
    ("sinks", "given", "files"),
    [
        ([KAFKA], ["file"], {KAFKA: "file"}),
        ([FILES, SEARCH], ["/a=b"], {SEARCH: "/a=b"}),
        ([KAFKA, SEARCH], [f"{KAFKA}=one", f"{SEARCH}=two=2"], {KAFKA: "one", SEARCH: "two=2"}),
        ([KAFKA, SEARCH], [f"{SEARCH}=two"], {SEARCH: "two"}),
        ([KAFKA, SEARCH], [], {}),
    ],
)
def test_each_sink_gets_its_own_credentials(sinks: list[str], given: list[str], files: dict[str, str]) -> None:
    assert credentials_of(sinks, given) == {sink: Path(file) for sink, file in files.items()}


@pytest.mark.parametrize(
    ("sinks", "given", "why"),
    [
        ([KAFKA, SEARCH], ["file"], "several sinks take credentials"),
        ([FILES], ["file"], "no sink takes credentials"),
        ([], ["file"], "no sink takes credentials"),
        ([KAFKA], ["kafka://b:9092/rows=file"], "no --sink has this address"),
        ([FILES, KAFKA], [f"{FILES}=file"], "take no credentials"),
        ([KAFKA], ["file", f"{KAFKA}=other"], "given twice"),
        ([KAFKA], [f"{KAFKA}="], "there is no file"),
    ],
)
def test_credentials_that_could_be_of_another_sink_are_refused(sinks: list[str], given: list[str], why: str) -> None:
    with pytest.raises(Invalid, match=why):
        credentials_of(sinks, given)
