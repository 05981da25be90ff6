"""Notes on written models whose requests come to another version by a release. Pure."""

from collections.abc import Iterable, Iterator

from istio_templates.documents import ModelSpec
from istio_templates.documents.rollouts.rollout import RolloutPolicy
from istio_templates.text.web_address import web_address
from k8s_manager.release.release_status import lost_rollout
from k8s_manager.traffic.weights import declared
from k8s_manager.world.world import Stored


def release_notes(written: Iterable[Stored], serving: Iterable[Stored]) -> Iterator[str]:
    """Yield what a release makes of `written` documents, of which `serving` are those to go by right after the
    write."""
    for stored, now in zip(written, serving, strict=True):
        if isinstance(stored.spec, ModelSpec) and isinstance(now.spec, ModelSpec) and now is not stored:
            yield _note(stored.spec, now.spec)
        if isinstance(stored.spec, ModelSpec) and (said := lost_rollout(stored.spec, stored.status)):
            yield said


def _note(spec: ModelSpec, now: ModelSpec) -> str:
    assert spec.rollout is not None
    target = ", ".join(version for version, weight in declared(spec).items() if weight)
    held = ", ".join(f"{version} {weight} %" for version, weight in declared(now).items() if weight)
    mirrored = ", ".join(f"{step.mirrored} %" for step in spec.rollout.steps if step.mirrored)
    copies = f"mirrors {mirrored} of them, whose answers are thrown away, and then " if mirrored else ""
    steps = ", ".join(str(step.weight) for step in spec.rollout.steps if step.weight)
    asked = "".join(f"; {said}" for said in _asked(spec.rollout))
    when = " in quiet hours" if spec.rollout.low_traffic else " in its windows" if spec.rollout.windows else ""
    way = f"{copies}brings them to {target}{when}"
    return (
        f"requests stay as they are ({held}); a release {way} by steps of {steps} and 100 %, "
        f"each for at least {spec.rollout.hold} and {spec.rollout.min_requests} requests{asked}"
    )


def _asked(rollout: RolloutPolicy) -> Iterator[str]:
    """Yield whom each step asks, and which Jobs it makes."""
    for check in rollout.checks:
        if check.webhook is not None:
            yield f"each step asks {web_address(check.webhook).host} (check {check.name})"
        if check.job is not None:
            yield f"each step makes a Job of {check.job.image}, at most {check.job.timeout} long (check {check.name})"
