"""Each code block of the pages does what it says: documents are valid, commands are known, and run where they can.

A block that cannot be tried says why in a comment before it: `<!-- not run: REASON -->`.
"""

import asyncio
import json
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
import yaml

from istio_templates.documents import load
from istio_templates.documents.crd import crds
from istio_templates.documents.parse import API_VERSION, SPECS, parse
from istio_templates.facts import Manifest
from k8s_manager.cli.main import arranged, build
from k8s_manager.offline import sources
from k8s_manager.offline.incremental_render import Rendering
from k8s_manager.standalone import welcome
from ratelimiter.simulation import scenario as scenarios
from tests.features.conftest import make_search
from tests.features.test_cli import tidegate
from tests.support.documents import gateway, labels, model, tenant
from tests.support.pages import PAGES, ROOT
from tests.support.standalone import standalone
from tests.support.waiting import until

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
PROGRAMS = {"tidegate", "curl", "kubectl", "make", "docker", "export", "for", "git", "pip", ".", "source"}


@dataclass(frozen=True)
class Block:
    """A code block: where it begins, its language, its text, and why it is not run."""

    page: Path
    line: int
    language: str
    text: str
    reason: str | None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    lines, place = page.read_text().splitlines(), 0
    while place < len(lines):
        if (opened := re.fullmatch(r"\s*```(\w*)", lines[place])) is None:
            place += 1
            continue
        end = next(number for number in range(place + 1, len(lines)) if lines[number].strip() == "```")
        before = re.fullmatch(r"\s*<!-- not run: (.+) -->", lines[place - 1])
        text = "\n".join(lines[place + 1 : end])
        yield Block(page, place + 1, opened[1], text, before[1] if before else None)
        place = end + 1


BLOCKS = [block for page in PAGES for block in blocks(page)]


def of(*languages: str) -> list[Block]:
    return [block for block in BLOCKS if block.language in languages and block.reason is None]


def commands(block: Block) -> Iterator[list[str]]:
    """Yield the words of each call of ours in a block of shell, or in the steps of a pipeline."""
    for line in block.text.replace("\\\n", " ").splitlines():
        found = re.match(r"\s*(?:- )?(?:run: )?(?:\$ )?(?:.*\| )?tidegate (?!standalone \()(.+)", line)
        if (found and not line.startswith(("tidegate:", " "))) or (found and block.language == "yaml"):
            bare = re.split(r"\s{2,}(?=\S)|\s+#|\s+[|&;] |\s+>+ ", found[1])[0]
            yield shlex.split(bare)


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_has_a_language_that_is_tried_or_a_reason(block: Block):
    assert block.language in ("", "yaml", "json", "python") or block.reason, block.text
    if block.language == "" and block.reason is None:
        said = [line.removeprefix("$ ") for line in block.text.splitlines()]
        assert any(line.split()[:1] and line.split()[0] in PROGRAMS for line in said), block.text


@pytest.mark.parametrize("block", of("yaml"), ids=str)
def test_yaml_is_read_and_a_document_in_it_is_valid(block: Block):
    for raw in load(block.text, str(block)):
        if str(raw.get("kind")) in SPECS:
            assert raw["apiVersion"] == API_VERSION
            assert parse(raw).kind == raw["kind"]


def documents_of(block: Block) -> list[Manifest]:
    """Return the documents of ours in a block; a part of one is put into one."""
    found = load(block.text, str(block))
    whole = [raw for raw in found if str(raw.get("kind")) in SPECS]
    return [*whole, *(document for raw in found for document in completed(raw))]


def completed(part: Manifest) -> Iterator[Manifest]:
    """Yield the document of which a page shows a part alone."""
    if part.keys() == {"listeners"}:
        yield gateway(**part)
    if part.keys() == {"cors"}:
        (route,) = model()["spec"]["routes"]
        yield model(routes=[{**route, **part}])
    if {"rateLimit", "replicas"} <= part.keys():  # a simulation
        yield model(rateLimit=part["rateLimit"])


def around(documents: list[Manifest]) -> list[Manifest]:
    """Return the tenants and gateways without which documents of a page cannot stand."""
    there = {(raw["kind"], raw["metadata"]["name"]) for raw in documents}
    models = [raw for raw in documents if raw["kind"] == "Model"]
    owners = {raw["metadata"]["namespace"] for raw in documents if raw["kind"] in ("Model", "ModelVersion")}
    housed = {raw["spec"].get("namespace", raw["metadata"]["name"]) for raw in documents if raw["kind"] == "Tenant"}
    needed = [_tenant_of(name, models) for name in sorted(owners - housed)]
    used = [raw["spec"]["gateway"]["name"] for raw in [*documents, *needed] if raw["kind"] == "Tenant"]
    shared = [name for name in dict.fromkeys(used) if ("InferenceGateway", name) not in there]
    named = {"namespace": "inference-gw", "selector": {"istio": "other"}}
    return [*needed, *(gateway(name, **({} if name == "shared" else named)) for name in shared)]


def _tenant_of(name: str, models: list[Manifest]) -> Manifest:
    own = [model for model in models if model["metadata"]["namespace"] == name]
    hosts = {route["host"] for model in own for route in model["spec"].get("routes", ())}
    return tenant(name, hosts=[{"name": host} for host in sorted(hosts) or ["unused.models.example.com"]])


@pytest.mark.parametrize("block", [block for block in of("yaml") if documents_of(block)], ids=str)
def test_documents_of_a_block_are_accepted_and_rendered(block: Block):
    shown = documents_of(block)
    given = sources.of([*((str(block), raw) for raw in shown), *(("around", raw) for raw in around(shown))])
    rendered = Rendering().of(given.documents, given.places)
    wrong = [str(finding) for finding in (*given.findings, *rendered.findings) if finding.level == "error"]
    assert not wrong, wrong
    assert rendered.objects or {raw["kind"] for raw in shown} <= {"AccessGrant", "ModelVersion"}


def test_the_settings_of_a_simulation_are_read():
    shown = [raw for block in of("yaml") for raw in load(block.text, str(block)) if "connectionSkew" in raw]
    assert shown and all(scenarios.read(raw, "a page") for raw in shown)


@pytest.mark.parametrize("block", of("json"), ids=str)
def test_json_is_read(block: Block):
    assert json.loads(block.text)


@pytest.mark.parametrize("block", of("python"), ids=str)
def test_python_is_read(block: Block):
    compile(block.text, str(block), "exec")


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.reason is None and any(commands(b))], ids=str)
def test_every_command_is_taken_by_the_real_parser(block: Block):
    take(block)


def test_every_command_of_the_demo_is_taken_by_the_real_parser():
    tour = "\n".join(line.strip() for line in welcome._TOUR.splitlines())
    block = Block(Path(str(welcome.__file__)), 0, "", tour, None)
    assert ["autoscale", "search/ranker", "v1", "--min", "2", "--max", "8", "--window", "30s"] in [*commands(block)]
    take(block)


def take(block: Block) -> None:
    """Fail where the parser does not take a command of a block."""
    for words in commands(block):
        first, rest = arranged(words)
        group, place = typer.main.get_command(build(rest)), list(rest)
        while hasattr(group, "commands") and place:
            group = group.commands[place.pop(0)]
        group.make_context("tidegate", [word for word in place if word not in first])


RUNNABLE = {"get", "explain", "limit", "scale", "override", "describe", "wait", "whoami"}
STANDING = {"-w", "--watch"}


async def test_commands_of_the_pages_run_against_a_manager(fleet):
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        await make_search(fleet)
        await fleet.pod("inference-gw", {"istio": "shared"})
        await fleet.pod("search", labels())
        server = f"http://127.0.0.1:{rest._session._base_url.port}"
        found = [(b, words) for b in BLOCKS if b.language == "" and b.reason is None for words in commands(b)]
        run = [(b, w) for b, w in found if w[0] in RUNNABLE and not STANDING & {*w}]
        assert len(run) >= 8
        for block, words in run:
            code, _, error = await tidegate(*words, server=server)
            assert code == 0, (str(block), words, error)


def test_the_pages_name_extras_that_exist():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {name for page in PAGES for name in re.findall(r"(?:tidegate|\.)\[(\w+)\]'", page.read_text())}
    assert "validate" in named <= extras.keys()


def test_the_page_on_installing_counts_what_is_installed():
    text = " ".join((ROOT / "docs" / "install.md").read_text().split())
    files = [file for file in (ROOT / "manifests").glob("*.yaml") if file.name != "kustomization.yaml"]
    kinds = [obj["kind"] for file in files for obj in yaml.safe_load_all(file.read_text()) if obj]
    assert f"{NUMBERS[len(crds())]} CRDs" in text
    assert len(list((ROOT / "manifests" / "crds").glob("[!k]*.yaml"))) == len(crds())
    assert f"{NUMBERS[kinds.count('ValidatingAdmissionPolicy')]} ValidatingAdmissionPolicies" in text
    assert kinds.count("ValidatingAdmissionPolicyBinding") == kinds.count("ValidatingAdmissionPolicy")


SAMPLE = ROOT / "manifests" / "samples" / "search.yaml"


def test_the_page_on_documents_shows_the_model_of_the_sample():
    shown = [raw for block in of("yaml") if block.page.name == "documents.md" for raw in load(block.text, "")]
    assert all(raw in shown for raw in load(SAMPLE.read_text(), "") if raw["kind"] == "Model")


async def test_the_sample_that_the_first_page_names_runs_in_standalone(tmp_path):
    assert "manifests/samples/search.yaml" in (ROOT / "README.md").read_text()
    command = [sys.executable, "-m", "k8s_manager.cli.main"]
    async with standalone(tmp_path) as running:
        for words in (["apply", "-f", str(SAMPLE)], ["wait", "model/search/ranker", "--timeout=60s"]):
            call = [*command, *words, "--state", str(tmp_path)]
            process = await asyncio.create_subprocess_exec(*call, env={"PATH": "/usr/bin:/bin"})
            assert await process.wait() == 0, words
        (address, _) = await running.gateways()
        url, headers = f"http://{address}/v2/models/ranker", {"Host": "search.models.example.com"}

        async def answered() -> bool:
            async with running.session.get(url, headers=headers) as answer:
                return answer.status == 200

        await until(answered, "an answer of the sample's model")
