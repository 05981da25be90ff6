"""The route that reads the audit trail."""

from typing import Annotated, Literal

from fastapi import Query, Response

from istio_templates.errors import Invalid, Problem
from k8s_manager.api.application_parts import Trail, api_router
from k8s_manager.api.audit_memory import AuditQuery
from k8s_manager.api.parameters import Continue, Limit
from k8s_manager.api.responses import in_json
from k8s_manager.api.schemas.history import AuditTrail
from k8s_manager.runtime.timestamp import timestamp
from k8s_manager.statistics.stats_query import moment_in

router = api_router()
USUAL = 100
_MOMENT = "RFC 3339 or seconds since 1970"
By = Annotated[str, Query(max_length=253, description="Part of the caller's name, or of METHOD:NAME.")]
About = Annotated[
    str, Query(max_length=253, description="Part of the path, or of the document as KIND NAME or TENANT/NAME.")
]
Outcome = Annotated[
    Literal["done", "refused", "failed"] | None, Query(description="How the call ended; absent: in any way.")
]
From = Annotated[
    str | None, Query(alias="from", max_length=40, description=f"The first moment, {_MOMENT}; absent: the beginning.")
]
To = Annotated[
    str | None,
    Query(alias="to", max_length=40, description=f"The moment before which it ends, {_MOMENT}; absent: now."),
]


@router.get(
    "/v1/audit",
    tags=["Access"],
    summary="Who has asked for which changes, and which calls were refused: the newest lines of this manager.",
    name="list_audit_lines",
    response_model=AuditTrail,
)
async def _trail(
    audit: Trail,
    by: By = "",
    about: About = "",
    outcome: Outcome = None,
    start: From = None,
    end: To = None,
    limit: Limit = USUAL,
    after: Continue = None,
) -> Response:
    query = AuditQuery(by, about, *_span(start, end), outcome or "")
    if audit.memory is None:
        gaps = ["the audit trail is switched off; start the manager without --audit off"]
        return in_json({"items": [], "manager": None, "since": None, "partial": True, "gaps": gaps})
    page, gaps = audit.memory.page(query, limit, after), audit.memory.gaps(query)
    following = {"continue": page.following} if page.following else {}
    about_it = {"manager": audit.memory.manager, "since": timestamp(audit.memory.since(query))}
    return in_json({"items": page.lines, **following, **about_it, "partial": bool(gaps), "gaps": gaps})


def _span(start: str | None, end: str | None) -> tuple[float | None, float | None]:
    """Return the moments that are asked for (epoch seconds); raises `Invalid`."""
    problems: list[Problem] = []
    found = moment_in("from", start, None, problems), moment_in("to", end, None, problems)
    if problems:
        raise Invalid("the audit trail", problems)
    return found
