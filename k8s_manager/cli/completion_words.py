"""The words that a shell asks to complete, before and after the options of every command are taken out of them."""

import itertools
import shlex
from collections.abc import Callable, Mapping, MutableMapping

from k8s_manager.cli.contexts import CONTEXT, NAMESPACE

VARIABLE = "_TIDEGATE_COMPLETE"
"""Set by a shell that asks what a word may become."""
Arrange = Callable[[list[str]], tuple[list[str], list[str]]]
_SETS: Mapping[str, str] = {"-n": NAMESPACE, "--namespace": NAMESPACE, "--context": CONTEXT}
_BASH_WORDS, _BASH_PLACE, _OTHER_WORDS = "COMP_WORDS", "COMP_CWORD", "_TYPER_COMPLETE_ARGS"


def prepare(environment: MutableMapping[str, str], arrange: Arrange) -> list[str]:
    """Take the options of every command out of the words that a shell asks about; return them."""
    if _BASH_WORDS in environment:
        words, place = _split(environment[_BASH_WORDS]), int(environment.get(_BASH_PLACE, "1"))
        first, rest = _arranged(words[1:place], arrange, environment)
        environment[_BASH_WORDS] = shlex.join(["tidegate", *rest, *(words[place : place + 1] or [""])])
        environment[_BASH_PLACE] = str(len(rest) + 1)
        return first
    text = environment.get(_OTHER_WORDS, "")
    words = _split(text)[1:]
    last = [] if text.endswith(" ") or not words else [words.pop()]
    first, rest = _arranged(words, arrange, environment)
    environment[_OTHER_WORDS] = shlex.join(["tidegate", *rest, *last]) + ("" if last else " ")
    return first


def _arranged(words: list[str], arrange: Arrange, environment: MutableMapping[str, str]) -> tuple[list[str], list[str]]:
    first, rest = arrange(words)
    for name, value in itertools.pairwise(first):
        if name in _SETS:
            environment[_SETS[name]] = value
    return first, rest


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # a quote that is not closed yet
        return text.split()
