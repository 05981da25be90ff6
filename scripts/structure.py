"""Figures of the code's structure, and the bounds that hold them.

`make generate` writes them into `docs/architecture.md`. `make check` fails where a bound is broken, and not where a
figure moved inside its bound: otherwise every change of the code would have to touch the page.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from configparser import ConfigParser
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).parent.parent
PRODUCT = ("istio_templates", "ratelimiter", "warmup", "collectors", "k8s_manager")
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- structure: make generate writes this table -->", "<!-- end of structure -->"
MANAGER = "k8s_manager"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: its name, its value, the most it may be (absent: no bound), and where it was measured."""

    name: str
    value: int
    bound: int | None = None
    where: str = ""

    @property
    def is_within(self) -> bool:
        """Whether the bound holds."""
        return self.bound is None or self.value <= self.bound


def figures() -> list[Figure]:
    """Return all figures."""
    files, functions = _lengths(), _function_lengths()
    folders = {folder: len(modules(folder)) for folder in _folders()}
    fullest, longest_file = max(folders, key=folders.__getitem__), max(files, key=files.__getitem__)
    longest_function = max(functions, key=functions.__getitem__)
    chain = deepest_chain()
    outside = modules_outside_layers()
    return [
        Figure("modules in one folder, most", folders[fullest], 14, _path(fullest)),
        Figure("lines of a file, median", round(median(files.values())), 120),
        Figure("lines of a file, most", files[longest_file], 400, _path(longest_file)),
        Figure("lines of a function, median", round(median(functions.values()))),
        Figure("lines of a function, 90th percentile", round(quantiles(functions.values(), n=10)[8]), 20),
        Figure("lines of a function, most", functions[longest_function], 60, longest_function),
        Figure("modules in no layer", len(outside), 0, ", ".join(outside)),
        Figure("longest chain of imports between packages", len(chain), None, " -> ".join(chain)),
    ]


def problems() -> list[str]:
    """Return each broken bound as a message."""
    return [
        f"{figure.name} is {figure.value} ({figure.where}), at most {figure.bound} is allowed; cut it by task"
        for figure in figures()
        if not figure.is_within
    ]


def page() -> str:
    """Return `docs/architecture.md` with the figures of today in its marked section."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    rows = [
        f"| {figure.name} | {figure.value} | {'' if figure.bound is None else figure.bound} | {figure.where} |"
        for figure in figures()
    ]
    table = "\n".join(["| figure | today | at most | where |", "|---|---|---|---|", *rows])
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def modules(folder: Path) -> list[Path]:
    """Return the modules of one folder, without the package's own file."""
    return sorted(file for file in folder.glob("*.py") if file.name != "__init__.py")


@cache
def product_files() -> tuple[Path, ...]:
    """Return the modules of the five product packages."""
    return tuple(file for folder in _folders() for file in modules(folder))


def _folders() -> Iterator[Path]:
    for package in PRODUCT:
        yield from sorted({file.parent for file in (ROOT / package).rglob("*.py")})


@cache
def tree(file: Path) -> ast.Module:
    """Return the syntax tree of a module."""
    return ast.parse(file.read_text())


def _lengths() -> dict[Path, int]:
    return {file: len(file.read_text().splitlines()) for file in product_files()}


def _function_lengths() -> dict[str, int]:
    return {
        f"{_path(file)}: {node.name}, line {node.lineno}": (node.end_lineno or node.lineno) - node.lineno + 1
        for file in product_files()
        for node in ast.walk(tree(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def class_places() -> dict[str, list[str]]:
    """Return the modules that define each class of the product packages."""
    found: dict[str, list[str]] = defaultdict(list)
    for file in product_files():
        for node in ast.walk(tree(file)):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(_path(file))
    return found


def modules_outside_layers() -> list[str]:
    """Return the packages and root modules that no layer of `.importlinter` names."""
    contracts = ConfigParser()
    contracts.read(ROOT / ".importlinter")
    rooms = _layers(contracts["importlinter:contract:rooms"]["layers"])
    inside = _layers(contracts["importlinter:contract:layers"]["layers"])
    children = {_owner(file) for file in product_files()}
    return sorted(child for child in children if child.removeprefix(f"{MANAGER}.") not in inside and child not in rooms)


def deepest_chain() -> list[str]:
    """Return the longest chain in which each package imports the next one."""
    graph: dict[str, set[str]] = defaultdict(set)
    for file in product_files():
        graph[_owner(file)] |= {found for found in map(_owner_of_name, _imports(file)) if found} - {_owner(file)}

    @cache
    def longest(name: str) -> tuple[str, ...]:
        below = max((longest(other) for other in sorted(graph[name])), key=len, default=())
        return (name, *below)

    return list(max((longest(name) for name in sorted(graph)), key=len))


def _layers(text: str) -> set[str]:
    return {name.strip() for line in text.splitlines() for name in line.split("|") if name.strip()}


def _owner(file: Path) -> str:
    """Return the product package of a module; inside the manager that is a package or a root module."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:2]) if parts[0] == MANAGER else parts[0]


def _owner_of_name(name: str) -> str | None:
    parts = name.split(".")
    if parts[0] not in PRODUCT:
        return None
    return ".".join(parts[:2]) if parts[0] == MANAGER else parts[0]


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _path(path: Path) -> str:
    return str(path.relative_to(ROOT))
