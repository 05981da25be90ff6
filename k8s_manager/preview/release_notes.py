"""Notes on written models whose requests come to another version by a release. Pure."""

from collections.abc import Iterable, Iterator

from istio_templates.documents import ModelSpec
from k8s_manager.traffic.weights import declared
from k8s_manager.world.world import Stored


def release_notes(written: Iterable[Stored], serving: Iterable[Stored]) -> Iterator[str]:
    """Yield what a release makes of `written` documents, of which `serving` are those to go by right after the
    write."""
    for stored, now in zip(written, serving, strict=True):
        if isinstance(stored.spec, ModelSpec) and isinstance(now.spec, ModelSpec) and now is not stored:
            yield _note(stored.spec, now.spec)


def _note(spec: ModelSpec, now: ModelSpec) -> str:
    assert spec.rollout is not None
    target = ", ".join(version for version, weight in declared(spec).items() if weight)
    held = ", ".join(f"{version} {weight} %" for version, weight in declared(now).items() if weight)
    mirrored = ", ".join(f"{step.mirrored} %" for step in spec.rollout.steps if step.mirrored)
    copies = f"mirrors {mirrored} of them, whose answers are thrown away, and then " if mirrored else ""
    steps = ", ".join(str(step.weight) for step in spec.rollout.steps if step.weight)
    when = " in quiet hours" if spec.rollout.low_traffic else " in its windows" if spec.rollout.windows else ""
    way = f"{copies}brings them to {target}{when}"
    return (
        f"requests stay as they are ({held}); a release {way} by steps of {steps} and 100 %, "
        f"each for at least {spec.rollout.hold} and {spec.rollout.min_requests} requests"
    )
