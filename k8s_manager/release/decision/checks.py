"""What each check of a step says, with its numbers: pass, fail, or inconclusive. Pure.

- *fail*: the new version is worse than the check allows, but for a chance of `FALSE_ALARM`, divided by the checks and
  steps of the release. One such verdict is enough, and it needs no least number of requests: its bound has counted them
  (see `confidence`). Of two equal versions one is found worse in at most so many releases.
- *pass*, on the way: there are enough requests, and what they measure is within the check. That is a weak word, and
  all that is risked on it is the next step.
- *pass*, with proof: the new version is within the check, but for a chance of `WRONG_PASS`. The step before 100 % asks
  for it, so that luck alone promotes nothing.
- *inconclusive*: all else, and everything where statistics are missing, old, or of other weights.

What gateway pods count at the moment is enough to fail, and passes nothing: it lacks what callers saw besides. Where
it is known, the chance of a false alarm is divided once more, by two.

A single value of a Prometheus query has no known spread, so that two in a row have to be out of bounds. A webhook or a
Job decides by itself, once for each step; a Job is made for the steps below 100 % alone, which wait for it.
"""

from dataclasses import dataclass
from math import inf, isfinite

from k8s_manager.release.decision.confidence import (
    expected_share,
    is_above,
    is_below,
    quantile_bounds,
    seconds,
)
from k8s_manager.release.decision.observation import (
    ExternalReading,
    ReleaseObservation,
    StepStatistics,
    VersionStatistics,
)
from k8s_manager.release.decision.rules import ExternalCheck, OutcomeCheck, QuantileCheck, ReleaseCheck, ReleaseRules
from k8s_manager.release.decision.state import CheckResult, CheckVerdict, ReleaseState

FALSE_ALARM, WRONG_PASS = 0.01, 0.01
NEGLIGIBLE = 0.001
"""A share below this one counts as none, where a check is relative only: of two versions without errors none is so many
times worse than the other."""
FRESH = 60.0
"""The seconds after which statistics, and the value of a query, say nothing any more."""
IN_A_ROW = 2
PASS, FAIL, INCONCLUSIVE = CheckVerdict.PASS, CheckVerdict.FAIL, CheckVerdict.INCONCLUSIVE


@dataclass(frozen=True, slots=True)
class ComparedRequests:
    """Requests of both versions, of the same minutes; when that is looked at; and how sure a verdict has to be."""

    at: float
    new: VersionStatistics
    stable: VersionStatistics
    false_alarm: float
    needs_proof: bool


def check_results(
    rules: ReleaseRules, index: int, state: ReleaseState, seen: ReleaseObservation
) -> tuple[CheckResult, ...]:
    """Return what every check says of the step that is in force, by its index."""
    compared = _compared(rules, index, state, seen, step_statistics(state, seen))
    sooner = _compared(rules, index, state, seen, _of_step(seen.counts, state, seen))
    checks = [check for check in rules.checks if index < rules.last or not _is_job(check)]
    return tuple(_early_failure(check, sooner) or _result(check, state, seen, compared) for check in checks)


def _early_failure(check: ReleaseCheck, sooner: ComparedRequests | None) -> CheckResult | None:
    """Return what gateway pods have counted where that is enough to fail; nothing passes by it."""
    if sooner is None or isinstance(check, ExternalCheck):
        return None
    found = _measurement(check, sooner)
    return found if found.verdict is FAIL else None


def _is_job(check: ReleaseCheck) -> bool:
    return isinstance(check, ExternalCheck) and check.source == "job"


def step_statistics(state: ReleaseState, seen: ReleaseObservation) -> StepStatistics | None:
    """Return the statistics of the present weights; None where they are missing, old, or of other weights."""
    return _of_step(seen.statistics, state, seen)


def _of_step(found: StepStatistics | None, state: ReleaseState, seen: ReleaseObservation) -> StepStatistics | None:
    if found is None or found.since < state.since or not 0 <= seen.at - found.until <= FRESH:
        return None
    return found


def source_of(state: ReleaseState) -> str:
    """Return what has to be so that there are statistics of the present weights."""
    if state.mirror and not state.weight:
        return "the gateway pods show the manager their counters"
    return "a collector runs and reads the gateways"


def _compared(
    rules: ReleaseRules, index: int, state: ReleaseState, seen: ReleaseObservation, found: StepStatistics | None
) -> ComparedRequests | None:
    if found is None:
        return None
    sources = 1 if seen.counts is None else 2
    error = FALSE_ALARM / max(1, sources * rules.statistical_checks * (rules.last + 1))
    return ComparedRequests(seen.at, found.of_new(state.weight), found.stable, error, index >= rules.last - 1)


def _result(
    check: ReleaseCheck,
    state: ReleaseState,
    seen: ReleaseObservation,
    compared: ComparedRequests | None,
) -> CheckResult:
    if isinstance(check, ExternalCheck):
        return _external(check, state, seen)
    if compared is None:
        sentence = f"Statistics of these weights are missing or old; see that {source_of(state)}."
        return CheckResult(check.name, INCONCLUSIVE, sentence, seen.at)
    return _measurement(check, compared)


def _measurement(check: OutcomeCheck | QuantileCheck, compared: ComparedRequests) -> CheckResult:
    return _outcome(check, compared) if isinstance(check, OutcomeCheck) else _quantile(check, compared)


def _outcome(check: OutcomeCheck, compared: ComparedRequests) -> CheckResult:
    new, stable = compared.new, compared.stable
    hits, others = new.outcomes.get(check.outcome, 0), stable.outcomes.get(check.outcome, 0)
    bounds = []
    if check.most is not None or check.times_stable is not None:
        bounds.append((hits, new.requests, NEGLIGIBLE if check.most is None else check.most))
    if check.times_stable is not None:
        share = expected_share(check.times_stable, new.requests, stable.requests)
        bounds.append((hits, hits + others, share))
    value, known = _share(hits, new.requests), _share(others, stable.requests)
    limit = _limit(check.most, check.times_stable, known, NEGLIGIBLE)
    fails = bool(bounds) and all(is_above(*bound, compared.false_alarm) for bound in bounds)
    proven = any(is_below(*bound, WRONG_PASS) for bound in bounds)
    verdict = _verdict(fails, proven, value is not None and limit is not None and value <= limit, compared)
    sentence = f"{check.outcome}: {_percent(value)} of {new.requests} requests; at most {_percent(limit)}"
    return _measured(check.name, verdict, sentence, compared, value, limit, known)


def _quantile(check: QuantileCheck, compared: ComparedRequests) -> CheckResult:
    latency, reference = compared.new.latency, compared.stable.latency
    value, known = seconds(latency, check.quantile), seconds(reference, check.quantile)
    limit = _limit(check.most, check.times_stable, known)
    low, _ = quantile_bounds(latency, check.quantile, compared.false_alarm / 2)
    _, high = quantile_bounds(latency, check.quantile, WRONG_PASS / 2)
    stable_low, _ = quantile_bounds(reference, check.quantile, WRONG_PASS / 2)
    _, stable_high = quantile_bounds(reference, check.quantile, compared.false_alarm / 2)
    fails = low > (_limit(check.most, check.times_stable, stable_high) or inf)
    proven = high <= (_limit(check.most, check.times_stable, stable_low) or 0.0)
    is_enough = sum(latency.values()) * (1 - check.quantile) >= 1
    estimated = is_enough and value is not None and limit is not None and value <= limit
    sentence = f"quantile {check.quantile:g}: {_seconds(value)}; at most {_seconds(limit)}"
    verdict = _verdict(fails, proven, estimated, compared)
    return _measured(check.name, verdict, sentence, compared, value, limit, known)


def _verdict(fails: bool, is_proven: bool, is_estimated: bool, compared: ComparedRequests) -> CheckVerdict:
    if fails:
        return FAIL
    return PASS if is_proven or (is_estimated and not compared.needs_proof) else INCONCLUSIVE


def _measured(
    name: str,
    verdict: CheckVerdict,
    sentence: str,
    compared: ComparedRequests,
    value: float | None,
    limit: float | None,
    known: float | None,
) -> CheckResult:
    requests = compared.new.requests
    return CheckResult(name, verdict, f"{sentence}: {verdict}", compared.at, value, limit, known, requests)


def _external(check: ExternalCheck, state: ReleaseState, seen: ReleaseObservation) -> CheckResult:
    """Return what another system says of the present step, where it has said something since that began; what a webhook
    or a Job has decided stays."""
    before = next((found for found in state.results if found.name == check.name), None)
    if before is not None and before.is_final and before.at >= state.since and check.source != "prometheus":
        return before
    reading = seen.readings.get(check.name)
    if reading is None or reading.at < state.since or reading.at > seen.at:
        return CheckResult(check.name, INCONCLUSIVE, f"{check.source}: no answer about this step yet", seen.at)
    if check.source == "prometheus":
        return _value(check, reading, state, seen)
    verdict = {"passed": PASS, "failed": FAIL}.get(reading.outcome, INCONCLUSIVE)
    sentence = f"{check.source}: {reading.sentence or reading.outcome}"
    return CheckResult(check.name, verdict, sentence, reading.at, is_final=verdict is not INCONCLUSIVE)


def _value(
    check: ExternalCheck, reading: ExternalReading, state: ReleaseState, seen: ReleaseObservation
) -> CheckResult:
    """Return what a query's value says; it fails when it is out of bounds for the second time in a row."""
    before = next((found for found in state.results if found.name == check.name), None)
    value = reading.value if reading.value is not None and isfinite(reading.value) else None
    if value is None or seen.at - reading.at > FRESH:
        return CheckResult(check.name, INCONCLUSIVE, "prometheus: no value, or an old one; run the query", reading.at)
    lowest = -inf if check.least is None else check.least
    highest = inf if check.most is None else check.most
    if lowest <= value <= highest:
        verdict, failures, bound = PASS, 0, check.most if check.most is not None else check.least
    else:
        failures = before.failures if before else 0
        failures += before is None or before.at < reading.at
        verdict, bound = (FAIL if failures >= IN_A_ROW else INCONCLUSIVE), lowest if value < lowest else highest
    sentence = f"prometheus: {value:g}, bounds {lowest:g} to {highest:g}: {verdict}"
    return CheckResult(check.name, verdict, sentence, reading.at, value, bound, failures=failures)


def _limit(
    most: float | None, times: float | None, known: float | None, otherwise: float | None = None
) -> float | None:
    """Return the more of an absolute bound (or what stands for it) and a relative one; None where neither is known."""
    absolute = most if most is not None else otherwise if times is not None else None
    relative = times * known if times is not None and known is not None else None
    return max((bound for bound in (absolute, relative) if bound is not None), default=None)


def _share(hits: int, requests: int) -> float | None:
    return hits / requests if requests else None


def _percent(share: float | None) -> str:
    return "nothing" if share is None else f"{100 * share:.3g} %"


def _seconds(value: float | None) -> str:
    return "nothing" if value is None else f"{1000 * value:.4g} ms"
