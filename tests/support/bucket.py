"""What a token bucket admits of requests that were sent at known moments."""

from collections.abc import Iterable

BURST_SECONDS = 0.1
LEAST_TOKENS = 2.0


def admissible(sent: Iterable[list[float]], rate: float, within: float = 0.05) -> tuple[float, float]:
    """Return how many admitted requests a limit of `rate` per gateway pod explains, from least to most.

    `sent` holds the moments of each pod's requests, in seconds. Reckoned from them and not from the time that passed: on a
    busy machine a sender pauses, and what a full bucket would have gained meanwhile is lost.
    """
    pods, bucket = [moments for moments in sent if moments], max(LEAST_TOKENS, BURST_SECONDS * rate)
    ideal, slack = sum(_admitted(moments, rate, bucket) for moments in pods), bucket * len(pods)
    return (1 - within) * ideal - slack, (1 + within) * ideal + slack


def _admitted(moments: list[float], rate: float, bucket: float) -> int:
    tokens, last, admitted = 0.0, moments[0], 0
    for moment in moments:
        tokens, last = min(bucket, tokens + (moment - last) * rate), moment
        if tokens >= 1:
            tokens, admitted = tokens - 1, admitted + 1
    return admitted
