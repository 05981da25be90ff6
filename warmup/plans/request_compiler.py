"""From a plan to its requests: every body made and serialised once, before the first one is sent."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

import orjson

from istio_templates.documents.warmup import Case, Tensor
from istio_templates.errors import Invalid, Problem
from warmup.plans.bundle import Bundle
from warmup.plans.tensors import ELEMENTS, Described, Files, Filled, Unresolved, filled
from warmup.protocols import Dialect, Server, Unencodable, dialect_of
from warmup.protocols.plain_grpc import PlainGrpc
from warmup.wire import Request

SAMPLE, SMALLEST_SAMPLE, SAMPLED = 1000, 8, 50_000
"""Most elements of a tensor, and of all tensors, that are checked in a plan before it is accepted."""
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
    """Return what is wrong with a plan, as far as that shows without the server.

    Of large tensors a sample is made, and the size of their bodies follows from it: a plan of a few hundred bytes may
    stand for millions of numbers, which only a warm-up needs.
    """
    if missing := sorted(f"{ref.config_map}/{ref.key}" for ref in bundle.spec.files() - bundle.files.keys()):
        return [Problem("", f"file {missing[0]} is missing; make the ConfigMap with that key")]
    if bundle.spec.target.protocol == "grpc" and bundle.spec.target.descriptors is None:
        return []
    whole = tuple(case for case in bundle.spec.cases if not _is_open(case))
    pairs = sum(len(case.inputs or {}) * len(case.batch_sizes) for case in whole)
    return _made(bundle, {}, None, whole, max(SMALLEST_SAMPLE, min(SAMPLE, SAMPLED // max(pairs, 1))))[1]


def _is_open(case: Case) -> bool:
    return any(tensor.dtype is None or tensor.shape is None for tensor in (case.inputs or {}).values())


def _made(
    bundle: Bundle,
    described: Mapping[str, Described],
    dialect: Dialect | None,
    cases: tuple[Case, ...],
    sample: int | None = None,
) -> tuple[list[Call], list[Problem]]:
    calls: list[Call] = []
    problems: list[Problem] = []
    sizes: list[int] = []
    if (count := _elements(cases, described)) > ELEMENTS:
        return [], [Problem("cases", f"have {count} elements in all their batches; at most {ELEMENTS} are sent")]
    try:
        speaks = dialect or dialect_of(bundle.spec.target, bundle.files)
    except Unencodable as error:
        return [], [Problem("target.descriptors", str(error))]
    for case in cases:
        place = f"cases[{bundle.spec.cases.index(case)}]"
        try:
            for call, size in _calls(case, speaks, bundle.server, described, bundle.files, sample):
                calls.append(call)
                sizes.append(size)
        except (Unresolved, Unencodable) as error:
            problems.append(Problem(f"{place}.inputs" if isinstance(error, Unresolved) else place, str(error)))
        except Exception as error:  # an unforeseen error in one case must not stop the others
            problems.append(Problem(place, f"cannot be made into requests ({error!r}); change it"))
    if not problems and (total := sum(sizes)) > ALL_BYTES:
        problems.append(Problem("cases", f"their bodies are {total} bytes together; at most {ALL_BYTES} are kept"))
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
    case: Case,
    dialect: Dialect,
    server: Server,
    described: Mapping[str, Described],
    files: Files,
    sample: int | None,
) -> Iterator[tuple[Call, int]]:
    """Yield the calls of a case, each with how many bytes its bodies have, or would have but for the sample."""
    if case.inputs is None:
        requests = tuple(dialect.replay(server, body) for body in _bodies(case, files))
        for request in requests:
            _require_size(len(request.body))
        yield Call(case.name, 1, requests), sum(len(request.body) for request in requests)
        return
    for batch in case.batch_sizes:
        found = tensors(case, batch, described, files, sample)
        request = dialect.request(server, found)
        more = 0 if sample is None else sum(_left_out(case.inputs, batch, tensor, dialect) for tensor in found)
        _require_size(len(request.body) + more)
        yield Call(case.name, batch, (request,)), len(request.body) + more


def _left_out(inputs: Mapping[str, Tensor], batch: int, found: Filled, dialect: Dialect) -> int:
    """Return about how many bytes the elements have that a sample leaves out."""
    shape = inputs[found.name].shape or ()
    missing = prod(batch if size == -1 else size for size in shape) - len(found.elements)
    if missing <= 0:
        return 0
    made = len(orjson.dumps(found.plain())) if dialect.transport == "http" else len(found.raw())
    return missing * made // len(found.elements)


def tensors(
    case: Case, batch: int, described: Mapping[str, Described], files: Files, sample: int | None = None
) -> tuple[Filled, ...]:
    """Return the tensors of a case at a batch size, or a `sample` of each; raises `Unresolved` where one cannot be
    made."""
    inputs = case.inputs or {}
    return tuple(filled(name, tensor, batch, described.get(name), files, sample) for name, tensor in inputs.items())


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


def _require_size(size: int) -> None:
    if size > BODY_BYTES:
        raise Unencodable(f"a body is {size} bytes; at most {BODY_BYTES} are sent, make it smaller")


def reflected(files: tuple[bytes, ...]) -> Dialect:
    """Return plain gRPC with what the server's reflection showed."""
    return PlainGrpc(files)
