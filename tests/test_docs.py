"""What the pages name exists: a flag, a command, a field, a path, a target, a metric, a call of the REST API."""

import ast
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from collectors.access_log.line_counts import LineCounts
from collectors.request_statistics.request_totals import RequestTotals
from istio_templates.documents.crd import crds
from istio_templates.workloads.horizontal_pod_autoscaler import METRIC as EXTERNAL_METRIC
from k8s_manager.cli.main import build
from k8s_manager.collector.request_metrics import RequestMetrics
from k8s_manager.runtime.metrics import REGISTRY
from k8s_manager.runtime.settings import Settings
from tests.monitoring.files import RECORDS
from tests.monitoring.kafka_metrics import kafka_registries
from tests.support.pages import PAGES, ROOT, links, mentions, prose

# Flags of kubectl, of kube-state-metrics and of the project's own modules, which the command line does not have.
FOREIGN_FLAGS = {"--audience", "--build-arg", "--promise", "--figures", "--metric-labels-allowlist"}
# Paths of the model's own server and of a receiver of spans, and a misspelt field that a message shows.
FOREIGN_CALLS, MISSPELT = {"/v1/chat/completions", "/v1/traces"}, {"spec.routes[0].protocl", "id.timestamp.body"}
METRIC = re.compile(r"\b(?:[a-z]+:)?tidegate_[a-z0-9_]+(?::[a-z0-9_]+)?\b")  # exported or recorded
KINDS = {crd["spec"]["names"]["kind"] for crd in crds()}


def each_page(test: Callable[[Path], None]) -> Any:
    return pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))(test)


def command(words: list[str]) -> Any:
    """Return the command of the command line that words name; None where there is none."""
    found: Any = root_command()
    for word in words:
        if not hasattr(found, "commands"):
            return found
        if word not in found.commands:
            return None
        found = found.commands[word]
    return found


@cache
def root_command() -> Any:
    return typer.main.get_command(build([]))


@cache
def flags() -> set[str]:
    def of(found: Any) -> Iterator[str]:
        for parameter in found.params:
            yield from (*parameter.opts, *parameter.secondary_opts)
        for inner in getattr(found, "commands", {}).values():
            yield from of(inner)

    return {*of(root_command()), "--help"}


@cache
def metrics() -> set[str]:
    collector = RequestMetrics(RequestTotals(0), LineCounts())
    of_kafka = [metric for registry in kafka_registries() for metric in registry.collect()]
    known = [*REGISTRY.collect(), *collector.snapshot().collect(), *of_kafka]
    found = {name for metric in known for name in (metric.name, *(s.name for s in metric.samples))}
    types = {metric.name: metric.type for metric in known}
    counters = {f"{name}_total" for name, kind in types.items() if kind == "counter"}
    histograms = {f"{name}_{end}" for name, kind in types.items() if kind == "histogram" for end in ("bucket", "count")}
    return found | counters | histograms | {EXTERNAL_METRIC} | {rule["record"] for rule in RECORDS}


@cache
def targets() -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.M))


@cache
def operations() -> dict[str, set[str]]:
    paths = json.loads((ROOT / "docs" / "openapi.json").read_text())["paths"]
    return {path: {method.upper() for method in methods} for path, methods in paths.items()}


@cache
def field_paths() -> set[tuple[str, ...]]:
    """Return the path of every field in every document."""

    def below(schema: dict[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield (*path, "*") if schema.get("x-kubernetes-preserve-unknown-fields") else path
        for name, inner in schema.get("properties", {}).items():
            yield from below(inner, (*path, name))
        for inner in (schema.get("items"), schema.get("additionalProperties")):
            if isinstance(inner, dict):
                yield from below(inner, path)

    return {
        path
        for crd in crds()
        for version in crd["spec"]["versions"]
        for path in below(version["schema"]["openAPIV3Schema"], ())
    }


def is_field(parts: tuple[str, ...]) -> bool:
    return any(
        path[start : start + len(parts)] == parts
        or (path[-1:] == ("*",) and path[start:-1] == parts[: len(path) - 1 - start] and start < len(path) - 1)
        for path in field_paths()
        for start in range(len(path))
    )


@each_page
def test_every_flag_exists(page: Path):
    named = [(m, flag) for m in mentions(page) for flag in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", m.text)]
    assert [str(m) for m, flag in named if flag not in flags() | FOREIGN_FLAGS] == []


@each_page
def test_every_command_exists(page: Path):
    wrong = []
    for mention in mentions(page):
        for call in re.findall(r"(?:^|[`$|;&] ?|\| )tidegate((?: [a-z][a-z-]*)+)", mention.text):
            if not mention.text.startswith(("tidegate:", "tidegate standalone (")) and command(call.split()) is None:
                wrong.append(str(mention))
    assert wrong == []


@each_page
def test_every_field_exists(page: Path):
    names = {path[-1] for path in field_paths() if path} | {"spec", "status"}
    wrong = []
    for mention in mentions(page):
        for token in re.findall(
            r"(?<![\w./-])[A-Za-z]+(?:\[\w*\])?(?:\.[a-zA-Z]+(?:\[\w*\])?)+(?![\w/(-])", mention.text
        ):
            parts = tuple(re.sub(r"\[\w*\]", "", part) for part in token.split("."))
            parts = parts[1:] if parts[0] in KINDS else parts
            is_ours = parts[0] in names and token not in MISSPELT and "example" not in parts[1:2]  # a host of examples
            if is_ours and parts[-1] not in ("py", "yaml", "json", "md", "com", "csv", "svg") and not is_field(parts):
                wrong.append(str(mention))
    assert wrong == []


@each_page
def test_every_path_exists(page: Path):
    tops = {entry.name for entry in ROOT.iterdir() if entry.is_dir()} - {".demo", ".e2e", ".venv", ".cache", ".servers"}
    wrong = []
    for mention in mentions(page):
        for token in re.findall(r"(?<![\w./:@-])\.?[\w-]+(?:/[\w.*-]+)+/?|(?<![\w./])\w+\.py\b", mention.text):
            name = token.rstrip("/.")
            is_module = "/" not in name and name.endswith(".py")
            pattern = f"[!.]*/**/{name}" if is_module else name
            if (is_module or name.split("/")[0] in tops) and not any(ROOT.glob(pattern)):
                wrong.append(str(mention))
    wrong += [str(link) for link in links(page) if not (page.parent / link.text).exists()]
    assert wrong == []


@each_page
def test_every_target_exists(page: Path):
    named = [(m, name) for m in mentions(page) for name in re.findall(r"(?:^|[;&$] ?)make ([a-z][a-z0-9-]*)", m.text)]
    assert [str(m) for m, name in named if name not in targets()] == []


@each_page
def test_every_metric_exists(page: Path):
    named = [(m, name) for m in mentions(page) for name in METRIC.findall(m.text)]
    assert [str(m) for m, name in named if name not in metrics()] == []


@each_page
def test_every_call_of_the_rest_api_exists(page: Path):
    call = re.compile(r"(?:\b(GET|PUT|POST|PATCH|DELETE) )?(?<![\w.])(/v1(?:/[\w{}.:-]+)+|/v1/)")
    wrong = [
        str(mention)
        for mention in mentions(page)
        for method, path in call.findall(mention.text)
        if path not in FOREIGN_CALLS and not is_operation(method, path.rstrip("/."))
    ]
    assert wrong == []


def is_operation(method: str, path: str) -> bool:
    words = path.split("/")
    for known, methods in operations().items():
        there = known.split("/")
        same = [w == t or t.startswith("{") or w.startswith("{") for w, t in zip(words, there, strict=False)]
        if len(words) <= len(there) and all(same) and (not method or len(words) < len(there) or method in methods):
            return True
    return False


def test_a_setting_says_so_when_it_has_no_flag():
    serve = ast.parse((ROOT / "k8s_manager" / "cli" / "server_commands" / "serve.py").read_text())
    calls = [n for n in ast.walk(serve) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "Settings"]
    with_flag = {keyword.arg for call in calls for keyword in call.keywords}
    source = (ROOT / "k8s_manager" / "runtime" / "settings.py").read_text()
    described = dict(re.findall(r'^    (\w+): .*\n    """(.*)', source[source.index("class Settings") :], re.M))
    assert {f.name for f in fields(Settings)} == described.keys()
    assert {name for name, text in described.items() if not text.startswith("No flag: ")} == with_flag


def test_a_newcomer_finds_what_he_asks_for():
    page = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| ([^|]+\?) \| `([^`]+)` \|$", page, re.M)
    assert len(rows) >= 20
    assert [f"{question} {path}" for question, path in rows if not (ROOT / path).is_file()] == []


def test_the_pages_are_wrapped():
    wrong = [str(found) for page in PAGES for found in prose(page) if len(found.text) > 120]
    assert wrong == []
