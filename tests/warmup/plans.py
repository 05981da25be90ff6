"""Plans that tests start from."""

from typing import Any

from istio_templates.documents.warmup import WarmupPlanSpec
from warmup.plans.bundle import Bundle

FAST = {"window": 5, "latency": {"max": "200ms"}}
"""What a call of `Cold` that is not slow takes even where the machine is busy, and one that is slow never."""


def plan(**parts: Any) -> dict[str, Any]:
    """Return a plan for a server of the Open Inference Protocol: one case, two batch sizes."""
    return {
        "target": {"protocol": "oip-rest", "port": 8080},
        "ready": {"interval": "50ms"},
        "cases": [{"name": "typical", "batchSizes": [1, 8], "inputs": {"x": {"dtype": "FP32", "shape": [-1, 4]}}}],
        "load": {"minRequests": 5, "maxRequests": 200, "perRequestTimeout": "2s"},
        "success": FAST,
        "timeout": "300s",
        **parts,
    }


def bundle(files: Any = None, **parts: Any) -> Bundle:
    """Return a plan with its files."""
    return Bundle("ranker", WarmupPlanSpec.model_validate(plan(**parts)), files or {})
