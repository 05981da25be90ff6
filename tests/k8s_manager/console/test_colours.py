"""No colour is alone: what is coloured says the same by a word, and a badge by a shape too."""

import re
from typing import get_args

import pytest

from k8s_manager.console.page import TEMPLATES, environment
from ratelimiter.fairness import Balance

SHAPES = {"good": "●", "bad": "▲", "warn": "◆", "flat": "○"}
WORDS = {
    "Even": "Even.", "Uneven": "Uneven.", "Skewed": "Uneven, and nothing is refused yet.", "Few": "Not known.",
    "Single": "One pod.", "NotRead": "Not known.",
}  # fmt: skip


@pytest.mark.parametrize("word", ["Ready", "Rejected", "warning", "Unknown", "NeverSeenBefore"])
def test_a_badge_has_a_shape_and_a_word_beside_its_colour(word: str):
    shown = environment().from_string(f"{{% import 'parts.html' as parts %}}{{{{ parts.badge('{word}') }}}}").render()
    found = re.search(r'class="badge (\w+)"><span aria-hidden="true">(.)</span> (\w+)</span>', shown)
    assert found and SHAPES[found[1]] == found[2] and found[3] == word


@pytest.mark.parametrize("state", get_args(Balance))
def test_how_even_the_load_is_stands_there_in_words(state: str):
    load = {"state": state, "message": "What it comes from.", "requests": 90, "refused": 3, "seconds": 30, "unread": ()}
    text = "{% import 'gateway_parts.html' as parts %}{{ parts.load(load) }}"
    shown = " ".join(re.sub(r"<[^>]+>", " ", environment().from_string(text).render(load=load)).split())
    assert shown.startswith(f"{WORDS[state]} What it comes from.")
    assert ("90 requests in the last 30 s, 3 of them refused." in shown) == (state not in ("Few", "NotRead"))


@pytest.mark.parametrize("template", sorted(path.name for path in TEMPLATES.glob("*.html")))
def test_no_coloured_element_is_empty(template: str):
    text = (TEMPLATES / template).read_text()
    coloured = re.findall(r'<(\w+) class="[^"]*\b(?:good|bad|warn|flat|hot|warm|notice)\b[^"]*"[^>]*>(.{0,40})', text)
    assert not [found for found in coloured if found[1].lstrip().startswith(f"</{found[0]}")]
