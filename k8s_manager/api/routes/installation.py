"""The installation as a whole: where its manifests go, and what the manager finds of its cluster."""

from dataclasses import asdict

from fastapi import Response

from k8s_manager.api.application_parts import Api, api_router
from k8s_manager.api.responses import in_json
from k8s_manager.api.schemas.fleet import DoctorReport, ManifestDelivery
from k8s_manager.doctor.checks import worst
from k8s_manager.runtime.timestamp import timestamp

router = api_router()
MOST_FINDINGS = 500


@router.get(
    "/v1/git",
    tags=["Git"],
    summary="Which commit is rendered, which is applied, what is out of step.",
    name="get_git",
    response_model=ManifestDelivery,
)
async def _git(backend: Api) -> Response:
    if backend.tree is None:
        return in_json({"target": "cluster"})
    return in_json({"target": "git", **await backend.tree.read()})


@router.get(
    "/v1/doctor",
    tags=["Doctor"],
    summary="What the manager finds missing in its cluster, and what to run. A look is the answer for 30 s.",
    name="get_doctor_report",
    response_model=DoctorReport,
)
async def _doctor(backend: Api) -> Response:
    look = await backend.doctor.latest()
    body = {
        "at": timestamp(look.at),
        "freshUntil": timestamp(look.until),
        "manager": look.manager,
        "worst": worst(look.findings),
        "items": [asdict(finding) for finding in look.findings[:MOST_FINDINGS]],
        "omitted": max(0, len(look.findings) - MOST_FINDINGS),
    }
    return in_json(body)
