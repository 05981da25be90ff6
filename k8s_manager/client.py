"""A typed client of the REST API, for programs and for the command line; it needs the standard library only.

    client = Client("https://tidegate.example.com", token)
    plan = client.plan("model", "search/ranker", document)
    client.put("model", "search/ranker", document, plan=plan["fingerprint"], reason="a faster card")

Errors:

    TidegateError
    ├── ApiProblem   the manager answered with an error: status, title, problems by field
    └── Unanswered   no answer, or one of another program
"""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from typing import Any, Literal, NotRequired, TypedDict

from istio_templates.errors import Problem, TidegateError

PATIENCE = 60.0  # seconds without a byte of the answer to a write; a stream of events may be silent for longer
READ_PATIENCE = 10.0  # the same for what is only read
_SAFE = "/?&=%+,;:@!$'()*~#[]"  # of a path, besides letters and digits; what else a name may have is quoted
MOST_TOGETHER = 200  # documents that are planned, or rendered, in one call
Kind = Literal["gateway", "tenant", "model", "override", "grant", "modelversion", "caller"]
PATHS: Mapping[str, str] = {
    "gateway": "/v1/gateways",
    "tenant": "/v1/tenants",
    "model": "/v1/tenants/{tenant}/models",
    "override": "/v1/overrides",
    "grant": "/v1/grants",
    "modelversion": "/v1/tenants/{tenant}/modelversions",
    "caller": "/v1/tenants/{tenant}/callers",
}


class RemoteDocument(TypedDict):
    """A document as the manager holds it."""

    apiVersion: str
    kind: str
    metadata: dict[str, Any]
    spec: dict[str, Any]
    status: NotRequired[dict[str, Any]]


class PlannedWrite(TypedDict):
    """What a write would do. With `fingerprint` it is done only while it would still do that."""

    dryRun: Literal[True]
    changes: list[dict[str, Any]]
    touches: dict[str, Any]
    limit: dict[str, float | str | None] | None
    limits: dict[str, dict[str, float | str | None]]
    effects: list[dict[str, Any]]
    risk: Literal["low", "medium", "high"]
    reasons: list[str]
    fingerprint: str


class GrantedRole(TypedDict):
    """A role, where it holds (`all`, or tenants by name), and what it allows."""

    role: str
    tenants: list[str] | Literal["all"]
    rights: list[str]


class WhoAmI(TypedDict):
    """Who a caller is taken for, and its grants."""

    user: str
    source: str
    groups: list[str]
    grants: list[GrantedRole]


class ClaimedHost(TypedDict):
    """Owner of a host, the tenants to which paths of it are delegated, and what its owner serves there."""

    host: str
    tenant: str
    gateway: str
    delegations: list[dict[str, str]]
    routes: list[dict[str, str]]


class OutOfStep(TypedDict):
    """How many objects of Git's are not in the cluster as the tree has them, and the first of them."""

    count: int
    objects: list[dict[str, str]]


class GitState(TypedDict, total=False):
    """How far manifests have come that go through a repository; all but `target` only where it is `git`."""

    target: str
    repository: dict[str, str]
    committed: dict[str, Any]
    commits: list[list[str]]
    applied: dict[str, Any] | None
    problem: str | None
    outOfStep: OutOfStep
    moving: list[dict[str, str]]


class GivenHost(TypedDict):
    """A host and the tenant that has it now."""

    host: str
    tenant: str


class FreedHost(TypedDict):
    """A host that no tenant has any more."""

    released: str


class _OfAnother(Exception):
    """An answer that no manager gives."""


class ApiProblem(TidegateError):
    """The manager did not do what it was asked for (RFC 9457)."""

    def __init__(self, status: int, title: str, detail: str, problems: Sequence[Problem]) -> None:
        self.status, self.title, self.detail, self.problems = status, title, detail, tuple(problems)
        super().__init__(f"{status} {title}: {detail}")


class Unanswered(TidegateError):
    """No answer at the manager's address, or one of a program that is no manager."""


@dataclass(frozen=True, slots=True)
class TidegateClient:
    """The manager's address, and the caller's token. Every method raises `ApiProblem` or `Unanswered`.

    `timeout` is in seconds without a byte of an answer; absent: 10 for what is read, 60 for what is written.
    """

    server: str
    token: str
    timeout: float | None = None

    def whoami(self) -> WhoAmI:
        """Return the caller's identity."""
        found: WhoAmI = self.call("GET", "/v1/whoami")
        return found

    def git(self) -> GitState:
        """Return which commit is rendered, which is applied and what is out of step."""
        found: GitState = self.call("GET", "/v1/git")
        return found

    def claims(self) -> Iterator[ClaimedHost]:
        """Yield the hosts of all tenants that the caller may see."""
        yield from self.items("/v1/claims")

    def give_host(
        self, host: str, tenant: str, source: str | None = None, reason: str = "", ticket: str = ""
    ) -> GivenHost:
        """Give a host to a tenant, or hand it over from another one, `source`, once nothing is served on it."""
        body = {"tenant": tenant, **({"from": source} if source else {})}
        found: GivenHost = self.call("PUT", _host(host) + query(reason=reason, ticket=ticket), body)
        return found

    def release_host(self, host: str, reason: str = "", ticket: str = "") -> FreedHost:
        """Take a host from its tenant once nothing is served on it."""
        found: FreedHost = self.call("DELETE", _host(host) + query(reason=reason, ticket=ticket))
        return found

    def get(self, kind: Kind, name: str) -> RemoteDocument:
        """Return a document; a model is named TENANT/MODEL."""
        found: RemoteDocument = self.call("GET", path_of(kind, name))
        return found

    def documents(self, kind: Kind, tenant: str | None = None) -> Iterator[RemoteDocument]:
        """Yield the documents of a kind, models of one tenant."""
        yield from self.items(path_of(kind, f"{tenant}/" if tenant else ""))

    def plan(self, kind: Kind, name: str, document: Mapping[str, Any]) -> PlannedWrite:
        """Return what writing a whole document would do."""
        found: PlannedWrite = self.write(path_of(kind, name), document, query(dryRun="true"))
        return found

    def plan_together(self, documents: Sequence[Mapping[str, Any]]) -> PlannedWrite:
        """Return what writing several documents would do, which may need each other; for those who manage the fleet."""
        found: PlannedWrite = self.call("POST", "/v1/plan", {"documents": list(documents)})
        return found

    def put(
        self,
        kind: Kind,
        name: str,
        document: Mapping[str, Any],
        plan: str | None = None,
        reason: str = "",
        ticket: str = "",
    ) -> RemoteDocument:
        """Write a whole document over the version that is there now; with the fingerprint of a `plan`, only that."""
        told = query(plan=plan or "", reason=reason, ticket=ticket)
        found: RemoteDocument = self.write(path_of(kind, name), document, told)
        return found

    def delete(self, kind: Kind, name: str, cascade: bool = False) -> list[str]:
        """Delete a document, with `cascade` also what depends on it; return what goes."""
        answer = self.call("DELETE", path_of(kind, name) + query(cascade=str(cascade).lower()))
        return list(answer["deleted"])

    def call(self, method: str, path: str, body: Any = None, match: str | None = None) -> Any:
        """Return the answer to a call. Before a write, which may take long, the manager has to answer at all."""
        if method != "GET" and match is None:
            self.require_answer()
        with self._answered(), self._open(method, path, body, self._patience(method), match) as answer:
            return _object(answer.read())

    def write(self, path: str, document: Mapping[str, Any], told: str = "") -> Any:
        """Write a whole document over the version that is there now, or make it; another caller's change meanwhile is
        rejected."""
        return self.call("PUT", path + told, document, self.version(path))

    def version(self, path: str) -> str | None:
        """Return the version of a document; None where there is none."""
        with self._answered():
            try:
                with self._open("GET", path, None, self._patience("GET"), None) as answer:
                    found: str | None = answer.headers["ETag"]
                    return found
            except urllib.error.HTTPError as error:
                if error.code != HTTPStatus.NOT_FOUND:
                    raise
        return None

    def require_answer(self) -> None:
        """Raise `Unanswered` where no answer comes within the time for reading."""
        with self._answered(), suppress(urllib.error.HTTPError):  # which is an answer too
            self._open("GET", "/healthz", None, self._patience("GET"), None).close()

    def items(self, path: str) -> Iterator[Any]:
        """Yield everything that a list holds, page by page."""
        after = ""
        while True:
            page = self.call("GET", path + after)
            yield from page["items"]
            if "continue" not in page:
                return
            after = "?continue=" + urllib.parse.quote(page["continue"], safe="")

    def stream(self, path: str) -> Iterator[dict[str, Any]]:
        """Yield the events of a stream until it ends."""
        self.require_answer()
        with self._answered(), self._open("GET", path, None, None, None) as answer:
            if "event-stream" not in answer.headers.get("Content-Type", ""):
                raise _OfAnother("is no stream of events")
            for line in answer:
                if line.startswith(b"data: "):
                    yield _object(line[6:])

    def failed(self, error: TidegateError) -> Exception:
        """Return what is raised for an error."""
        return error

    @contextmanager
    def _answered(self) -> Iterator[None]:
        """Turn any early end of a call into an `ApiProblem` or `Unanswered`."""
        try:
            yield
        except urllib.error.HTTPError as error:
            raise self.failed(refused(error)) from None
        except _OfAnother as error:
            said = f"the answer from {self.server} {error}, so it is not a manager's; is the address right?"
            raise self.failed(Unanswered(said)) from None
        except (OSError, HTTPException, ValueError) as error:
            said = f"no answer from {self.server} ({error}); is the manager running?"
            raise self.failed(Unanswered(said)) from None

    def _patience(self, method: str) -> float:
        return self.timeout or (READ_PATIENCE if method == "GET" else PATIENCE)

    def _open(self, method: str, path: str, body: Any, patience: float | None, match: str | None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        if match is not None:
            headers["If-Match"] = match
        asked = urllib.parse.quote(path, safe=_SAFE, errors="surrogateescape")
        request = urllib.request.Request(self.server + asked, data, headers, method=method)
        return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=patience)


def _object(data: bytes) -> Any:
    """Return the JSON object in an answer."""
    try:
        found = json.loads(data)
    except ValueError:
        raise _OfAnother("is no JSON") from None
    if not isinstance(found, dict):
        raise _OfAnother("is no JSON object")
    return found


def path_of(kind: str, name: str) -> str:
    """Return the path of a document, or without a name of all; a model is named TENANT/MODEL, a registered version of
    it TENANT/MODEL-VERSION, an override of a tenant's own people TENANT/OVERRIDE, others by one word.

    Raises `ValueError` for a model, or a version of it, without its tenant.
    """
    tenant, _, last = name.rpartition("/")
    if "{tenant}" in PATHS[kind] and not tenant:
        raise ValueError(f"a {kind} is named TENANT/{kind.upper()}")
    if kind == "override" and tenant:
        return f"/v1/tenants/{tenant}/overrides/{last}".rstrip("/")
    root = PATHS[kind].format(tenant=tenant)
    return f"{root}/{last}" if last else root


def query(**told: str) -> str:
    """Return the query string of a path; empty values are left out."""
    said = {name: value for name, value in told.items() if value}
    return f"?{urllib.parse.urlencode(said)}" if said else ""


def refused(error: urllib.error.HTTPError) -> ApiProblem:
    """Return what the manager said against a call."""
    try:
        told = json.load(error)
        problems = [Problem(found["field"], found["message"]) for found in told["problems"]]
        return ApiProblem(error.code, told["title"], told["detail"], problems)
    except (ValueError, KeyError, TypeError, OSError, HTTPException):
        said = "no manager answered, but what stands before it or in its place; check the address"
        return ApiProblem(error.code, str(error.reason), said, ())


def _host(host: str) -> str:
    return f"/v1/claims/{urllib.parse.quote(host, safe='')}"
