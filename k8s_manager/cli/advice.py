"""Advice of the REST API in the words of the command line: its query parameters are options here."""

import re

_OVERWRITE = r"read it and send its ETag as If-Match, or If-Match: \* to overwrite it unseen"
_TOKEN = r"no bearer token; send 'Authorization: Bearer TOKEN'"
_LONGER = r"a longer one is written under /v1/overrides, with expires"
_WORDS = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (_TOKEN, "no bearer token; run tidegate login SERVER once, or give --token-file"),
        (r"say \?cascade=true", "add --cascade"),
        (r"send force=true", "add --force"),
        (_OVERWRITE, "run the command again"),
        (r"send \{\"replicas\": N\} with", "give"),
        (r"\?dryRun=true", "--dry-run"),
        (r"\?plan=", "--plan "),
        (_LONGER, "apply a LimitOverride for a longer one"),
    )
)


def in_options(text: str) -> str:
    """Return a message of the REST API with options in place of query parameters and headers."""
    for pattern, words in _WORDS:
        text = pattern.sub(words, text)
    return text
