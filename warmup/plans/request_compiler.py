"""From a plan to its requests: every body made and serialised once, before the first one is sent."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

from istio_templates.documents.warmup import Case
from istio_templates.errors import Invalid, Problem
from warmup.plans.bundle import Bundle
from warmup.plans.tensors import ELEMENTS, Described, Files, Filled, Unresolved, filled
from warmup.protocols import Dialect, Server, Unencodable, dialect_of
from warmup.protocols.plain_grpc import PlainGrpc
from warmup.wire import Request

BODY_BYTES = 16 * 2**20
ALL_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Call:
    """One case at one batch size: requests that are sent in turn."""

    case: str
    batch: int
    requests: tuple[Request, ...]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A plan that is ready to be sent."""

    dialect: Dialect
    server: Server
    calls: tuple[Call, ...]


def is_open(bundle: Bundle) -> bool:
    """Tell whether the server has to be asked for what the plan leaves out."""
    if bundle.spec.target.protocol == "grpc":
        return bundle.spec.target.descriptors is None
    return any(_is_open(case) for case in bundle.spec.cases)


def compiled(
    bundle: Bundle, described: Mapping[str, Described] | None = None, dialect: Dialect | None = None
) -> Compiled:
    """Return the requests of a plan; `described` and `dialect` are what the server said of itself.

    Raises `Invalid` with every case that cannot be made.
    """
    calls, problems = _made(bundle, described or {}, dialect, bundle.spec.cases)
    if problems:
        raise Invalid(f"warm-up plan of {bundle.model}", problems)
    speaks = dialect or dialect_of(bundle.spec.target, bundle.files)
    return Compiled(speaks, bundle.server, tuple(calls))


def problems_of(bundle: Bundle) -> list[Problem]:
    """Return what is wrong with a plan, as far as that shows without the server."""
    if missing := sorted(f"{ref.config_map}/{ref.key}" for ref in bundle.spec.files() - bundle.files.keys()):
        return [Problem("", f"file {missing[0]} is missing; make the ConfigMap with that key")]
    if bundle.spec.target.protocol == "grpc" and bundle.spec.target.descriptors is None:
        return []
    whole = tuple(case for case in bundle.spec.cases if not _is_open(case))
    return _made(bundle, {}, None, whole)[1]


def _is_open(case: Case) -> bool:
    return any(tensor.dtype is None or tensor.shape is None for tensor in (case.inputs or {}).values())


def _made(
    bundle: Bundle, described: Mapping[str, Described], dialect: Dialect | None, cases: tuple[Case, ...]
) -> tuple[list[Call], list[Problem]]:
    calls: list[Call] = []
    problems: list[Problem] = []
    if (count := _elements(cases, described)) > ELEMENTS:
        return [], [Problem("cases", f"have {count} elements in all their batches; at most {ELEMENTS} are sent")]
    try:
        speaks = dialect or dialect_of(bundle.spec.target, bundle.files)
    except Unencodable as error:
        return [], [Problem("target.descriptors", str(error))]
    for case in cases:
        place = f"cases[{bundle.spec.cases.index(case)}]"
        try:
            calls += _calls(case, speaks, bundle.server, described, bundle.files)
        except (Unresolved, Unencodable) as error:
            problems.append(Problem(f"{place}.inputs" if isinstance(error, Unresolved) else place, str(error)))
        except Exception as error:  # what nobody foresaw in one plan must not stop the others
            problems.append(Problem(place, f"cannot be made into requests ({error!r}); change it"))
    if not problems and (size := sum(len(r.body) for call in calls for r in call.requests)) > ALL_BYTES:
        problems.append(Problem("cases", f"their bodies are {size} bytes together; at most {ALL_BYTES} are kept"))
    return calls, problems


def _elements(cases: tuple[Case, ...], described: Mapping[str, Described]) -> int:
    """Return how many elements all tensors of all batches have, as far as shapes are known."""
    total = 0
    for case in cases:
        for name, tensor in (case.inputs or {}).items():
            known = described.get(name)
            shape = tensor.shape if tensor.shape is not None else known.shape if known else ()
            total += sum(prod(batch if size == -1 else size for size in shape) for batch in case.batch_sizes)
    return total


def _calls(
    case: Case, dialect: Dialect, server: Server, described: Mapping[str, Described], files: Files
) -> Iterator[Call]:
    if case.inputs is None:
        yield Call(case.name, 1, tuple(_sized(dialect.replay(server, body)) for body in _bodies(case, files)))
        return
    for batch in case.batch_sizes:
        yield Call(case.name, batch, (_sized(dialect.request(server, tensors(case, batch, described, files))),))


def tensors(case: Case, batch: int, described: Mapping[str, Described], files: Files) -> tuple[Filled, ...]:
    """Return the tensors of a case at a batch size; raises `Unresolved` where one cannot be made."""
    inputs = case.inputs or {}
    return tuple(filled(name, tensor, batch, described.get(name), files) for name, tensor in inputs.items())


def _bodies(case: Case, files: Files) -> list[bytes]:
    if case.recorded:
        lines = [line for line in files[case.recorded.file].splitlines() if line.strip()]
        if not lines:
            raise Unencodable(f"{case.recorded.file.key} holds no recorded request; give one on each line")
        count = min(case.recorded.sample, len(lines))
        return [lines[index * len(lines) // count] for index in range(count)]
    if case.file:
        return [files[case.file]]
    if case.text is not None:
        return [case.text.encode()]
    return [b"" if case.body is None else json.dumps(case.body).encode()]


def _sized(request: Request) -> Request:
    if len(request.body) > BODY_BYTES:
        raise Unencodable(f"a body is {len(request.body)} bytes; at most {BODY_BYTES} are sent, make it smaller")
    return request


def reflected(files: tuple[bytes, ...]) -> Dialect:
    """Return plain gRPC with what the server's reflection showed."""
    return PlainGrpc(files)
