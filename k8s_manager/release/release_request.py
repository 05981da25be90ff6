"""What an operator asks of a release: an annotation of the Model, written by the API or with kubectl. Pure.

Its text is a verb, and after a blank whatever else: the API adds the moment, who asks and why. A text that the release
has handled is in its status and counts no more; to ask for the same again, change the text.
"""

import re

from istio_templates.names import RELEASE
from k8s_manager.release.decision.observation import ReleaseAction, ReleaseVerb

MOST_TEXT = 1024
"""Characters of the annotation that count."""
_BY_API = re.compile(r"(?P<verb>\S+) \S+ by (?P<by>[^:]+)(: (?P<reason>.*))?")


def action_in(annotation: str) -> ReleaseAction | None:
    """Return what the annotation of a Model asks for; None where that is nothing known."""
    text = annotation[:MOST_TEXT].strip()
    words = text.split(maxsplit=1)
    if not words or words[0] not in list(ReleaseVerb):
        return None
    found = _BY_API.fullmatch(text)
    by, reason = (found["by"], found["reason"] or "") if found else (f"annotation {RELEASE}", "")
    return ReleaseAction(text, ReleaseVerb(words[0]), by, reason)


def unknown_verb(annotation: str) -> str | None:
    """Return what is wrong with an annotation that begins with no verb; None where nothing is."""
    if not annotation.strip() or action_in(annotation) is not None:
        return None
    known = ", ".join(ReleaseVerb)
    return f"annotation {RELEASE} asks for {annotation.strip()[:40]!r}; begin it with one of {known}"


def request_text(verb: ReleaseVerb, at: str, by: str, reason: str) -> str:
    """Return the text of an annotation that asks for something."""
    said = f": {' '.join(reason.split())}" if reason else ""
    return f"{verb} {at} by {by.replace(':', ' ') or 'an operator'}{said}"[:MOST_TEXT]
