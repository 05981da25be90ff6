"""Plain HTTP: a body of any kind to a path."""

from collections.abc import Mapping

from istio_templates.documents.warmup import Sanity
from warmup.plans.tensors import Described, Filled
from warmup.protocols import json_answers
from warmup.protocols.base import Server, Unencodable
from warmup.wire import Answer, Request, Transport


class PlainHttp:
    """HTTP as it is."""

    transport: Transport = "http"

    def ready(self, server: Server) -> Request | None:
        """Ask the path that the plan names, if it names one."""
        return Request(server.target.ready_path, method="GET") if server.target.ready_path else None

    def is_ready(self, server: Server, answer: Answer) -> bool:
        """Tell whether it was answered well."""
        return answer.fault is None

    def describe(self, server: Server) -> tuple[Request, ...]:
        """HTTP describes nothing."""
        return ()

    def described(self, server: Server, body: bytes) -> Mapping[str, Described]:
        """HTTP describes nothing."""
        return {}

    def request(self, server: Server, tensors: tuple[Filled, ...]) -> Request:
        """HTTP knows no tensors."""
        raise Unencodable("protocol http takes a body, no inputs")

    def replay(self, server: Server, body: bytes) -> Request:
        """Return the body as it is; one that is JSON says so."""
        method = server.target.method or ("POST" if body else "GET")
        assert server.target.path is not None
        return Request(server.target.path, body, method, _content_type(body))

    def objection(self, server: Server, check: Sanity, body: bytes) -> str | None:
        """Look into a JSON answer; another one can only contain a text."""
        try:
            found = json_answers.read(body)
        except ValueError:
            return json_answers.of_names(check, body, (), finite=True)
        outputs = found if isinstance(found, dict) else {"": found}
        return json_answers.objection(check, body, outputs)


def _content_type(body: bytes) -> tuple[tuple[str, str], ...]:
    if not body:
        return ()
    try:
        json_answers.read(body)
    except ValueError:
        return (("content-type", "application/octet-stream"),)
    return (("content-type", "application/json"),)
