"""Train the demo's model: python -m k8s_manager.standalone.demo.train

Logistic regression on clicks: whether a result is clicked depends on how well its text matches, its position, its
freshness and its price. The clicks are drawn from a known law with noise, so that nothing has to be downloaded; the
weights are learnt from them by gradient descent, and the accuracy is measured on clicks that were not used for that.
"""

import json
import math
import random
from pathlib import Path

FILE = Path(__file__).with_name("weights.json")
FEATURES = ("match", "position", "freshness", "price")
_LAW = (4.0, -3.0, 1.5, -1.0)
_BIAS = -0.5
Sample = tuple[tuple[float, ...], int]


def probability(weights: list[float], bias: float, features: tuple[float, ...]) -> float:
    """Return the probability of a click."""
    return 1 / (1 + math.exp(-(bias + sum(w * x for w, x in zip(weights, features, strict=True)))))


def clicks(number: int, chance: random.Random) -> list[Sample]:
    """Return `number` results with whether they were clicked."""
    results = [tuple(chance.random() for _ in FEATURES) for _ in range(number)]
    return [(result, int(chance.random() < probability(list(_LAW), _BIAS, result))) for result in results]


def train(samples: list[Sample], rounds: int = 300, rate: float = 2.0) -> tuple[list[float], float]:
    """Return weights and bias that fit the samples."""
    weights, bias = [0.0] * len(FEATURES), 0.0
    for _ in range(rounds):
        errors = [(probability(weights, bias, x) - y, x) for x, y in samples]
        weights = [w - rate * sum(e * x[i] for e, x in errors) / len(samples) for i, w in enumerate(weights)]
        bias -= rate * sum(e for e, _ in errors) / len(samples)
    return weights, bias


def accuracy(weights: list[float], bias: float, samples: list[Sample]) -> float:
    """Return the share of samples on whose side of one half the model is."""
    return sum((probability(weights, bias, x) > 0.5) == bool(y) for x, y in samples) / len(samples)


def main() -> None:
    """Train, measure and write the weights."""
    chance = random.Random(20261121)
    weights, bias = train(clicks(2000, chance))
    measured = accuracy(weights, bias, clicks(2000, chance))
    body = {
        "features": FEATURES,
        "weights": [round(w, 4) for w in weights],
        "bias": round(bias, 4),
        "accuracy": round(measured, 4),
    }
    FILE.write_text(json.dumps(body, indent=1) + "\n")


if __name__ == "__main__":
    main()
