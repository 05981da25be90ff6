"""Which versions of a model a split of requests means: the pods behind each destination, by labels that last."""

from collections.abc import Collection
from fractions import Fraction

from istio_templates.facts import Manifest
from k8s_manager.importers.cluster_objects import ExistingObjects, namespace_of, part
from k8s_manager.importers.proposal import Proposal, label_of
from k8s_manager.importers.rollout_labels import ARGO, KNATIVE, mover_of, writer_of

Destination = tuple[str, str]
"""The host of a Service, or `InferencePool NAME`, and the subset of it."""
Split = dict[Destination, Fraction]
_POOL = "InferencePool "


class SplitReader:
    """Reads the splits of one route; what it cannot say is noted at the route's `field`. `in_percent`: its weights are
    to add up to 100."""

    def __init__(
        self, route: Manifest, field: str, seen: ExistingObjects, proposal: Proposal, in_percent: bool = False
    ) -> None:
        self._route, self._field, self._seen, self._proposal = route, field, seen, proposal
        self._in_percent = in_percent
        self.names: dict[Destination, str] = {}
        """The version behind each destination, once `versions` has found them."""
        self._namespace = namespace_of(route)

    def is_of_knative(self, split: Split, follows: bool) -> bool:
        """Note who moves the weights, and whether the limit `follows` them; tell whether that is Knative, whose
        Services come and go with its revisions."""
        behind = [rule for host, _ in split for rule in self._seen.rules(host, self._namespace)]
        services = (self._seen.service(host, self._namespace) for host, _ in split)
        mover = mover_of(self._route, [*behind, *(service for service in services if service)])
        if mover == KNATIVE:
            said = f"is not proposed: {KNATIVE} makes a new one for each revision; limit a route of your own"
            self._proposal.note(self._route, "", said)
        elif mover and follows:
            self._note(f"{mover} moves the weights; the limit follows them, traffic here is that of this moment")
        elif mover:
            self._note(f"{mover} moves the weights; traffic here does not follow them, change it after a rollout")
        return mover == KNATIVE

    def versions(self, weighted: Split, matched: Collection[Destination] = ()) -> Manifest:
        """Return versions and their traffic as fields of a Model; nothing where no label that lasts tells the pods.
        Versions behind `matched` destinations need no weight."""
        split = {**weighted, **{place: Fraction(0) for place in matched if place not in weighted}}
        labels = {place: self._labels(place) for place in split}
        if not all(labels.values()):
            said = "is not proposed: no label that lasts tells its pods; give the Service one"
            self._note(said)
            return {}
        alike: dict[tuple[tuple[str, str], ...], list[Destination]] = {}
        for place, chosen in labels.items():
            alike.setdefault(tuple(sorted(chosen.items())), []).append(place)
        merged = {places[0]: sum((split[place] for place in places), Fraction(0)) for places in alike.values()}
        for places in alike.values():
            if len(places) > 1:
                listed = ", ".join("/".join(filter(None, place)) for place in places)
                said = f"{listed} have the same pods by labels that last: one version counts them all"
                if any(writer_of(label) == ARGO for place in places for label in self._found(place)):
                    said += "; stableMetadata and canaryMetadata of their Rollout would give them labels that last"
                self._note(said)
        names = _named(merged) if len(merged) == len(split) or len(merged) > 1 else dict.fromkeys(merged, "v1")
        self.names = {place: names[places[0]] for places in alike.values() for place in places}
        whole = sum(merged.values())
        shares = rounded([100 * weight / whole for weight in merged.values()])
        if whole != 100 and self._in_percent:
            self._note("has weights that do not add up to 100; shares of 100 are proposed")
        return {
            "versions": [{"name": names[place], "existing": {"labels": labels[place]}} for place in merged],
            "traffic": [
                {"version": names[place], "weight": share}
                for place, share in zip(merged, shares, strict=True)
                if share or place in weighted
            ],
        }

    def _note(self, said: str) -> None:
        self._proposal.note(self._route, self._field, said)

    def _labels(self, place: Destination) -> dict[str, str]:
        """Return the labels of the pods behind a destination that last."""
        found = self._found(place)
        for label in sorted(label for label in found if writer_of(label)):
            said = f"label {label} of {place[0]} is left out: {writer_of(label)} writes another one at the next rollout"
            self._note(said)
        return {label: value for label, value in found.items() if not writer_of(label)}

    def _found(self, place: Destination) -> dict[str, str]:
        """Return the labels of the pods behind a destination."""
        return self._pool(place[0]) if place[0].startswith(_POOL) else self._service(*place)

    def _pool(self, host: str) -> dict[str, str]:
        """Return the labels that an InferencePool selects: `matchLabels` of its selector in v1, the selector itself in
        versions before."""
        pool = self._seen.get("InferencePool", self._namespace, host.removeprefix(_POOL))
        if pool is None:
            self._note(f"{host} was not read; read inferencepools too")
            return {}
        selector = part(part(pool, "spec"), "selector")
        chosen = part(selector, "matchLabels") if "matchLabels" in selector else selector
        return {str(k): str(v) for k, v in chosen.items()}

    def _service(self, host: str, subset: str) -> dict[str, str]:
        """Return the labels that a Service selects, with those of its subset."""
        service = self._seen.service(host, self._namespace)
        if service and namespace_of(service) != self._namespace:
            there = namespace_of(service)
            self._note(f"{host} is a Service of {there}: a model counts pods of its own namespace only")
        found = {str(k): str(v) for k, v in part(part(service, "spec"), "selector").items()} if service else {}
        chosen = self._seen.subset(host, subset, self._namespace) if subset else None
        if subset and chosen is None:
            self._note(f"subset {subset} of {host} was not read: all pods of the Service are taken for it")
        found |= {str(k): str(v) for k, v in part(chosen or {}, "labels").items()}
        if not found and service is None:
            found = {"app": host.partition(".")[0]}
            self._note(f"Service {host} was not read; app={found['app']} is taken for its pods")
        return found


def _named(split: Split) -> dict[Destination, str]:
    """Return a name for each version: its subset's, else its Service's; numbers where that is not clear."""
    if len(split) == 1:
        return {place: label_of(place[1]) or "v1" for place in split}
    subsets = [subset for _, subset in split]
    is_clear = all(subsets) and len(set(subsets)) == len(subsets)
    found = {
        place: label_of(place[1] if is_clear else "-".join(filter(None, (_short(place), place[1])))) for place in split
    }
    if all(found.values()) and len(set(found.values())) == len(found):
        return found
    return {place: f"v{number}" for number, place in enumerate(split, 1)}


def _short(place: Destination) -> str:
    return place[0].removeprefix(_POOL).partition(".")[0]


def rounded(shares: list[Fraction]) -> list[int]:
    """Return whole shares that add up to 100, each at most one off: the largest remainders are rounded up."""
    down = [int(share) for share in shares]
    order = sorted(range(len(shares)), key=lambda n: shares[n] - down[n], reverse=True)
    for number in order[: 100 - sum(down)]:
        down[number] += 1
    return down
