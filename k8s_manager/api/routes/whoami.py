"""The route that returns a caller's identity, and what it may do."""

from fastapi import Request, Response

from k8s_manager.api.application_parts import api_router
from k8s_manager.api.guard import caller_of
from k8s_manager.api.responses import in_json
from k8s_manager.api.schemas.fleet import CallerReport
from k8s_manager.authz.roles import RIGHTS

router = api_router()


@router.get(
    "/v1/whoami",
    tags=["Access"],
    summary="Who the caller is taken for, and what it may do where.",
    name="whoami",
    response_model=CallerReport,
)
async def _whoami(request: Request) -> Response:
    caller = caller_of(request)
    told = {
        "user": caller.identity.user,
        "source": caller.identity.source,
        "groups": sorted(caller.identity.groups),
        "grants": [
            {
                "role": grant.role.value,
                "tenants": sorted(grant.tenants) or "all",
                "rights": sorted(right.value for right in RIGHTS[grant.role]),
            }
            for grant in caller.grants
        ],
    }
    return in_json(told)
