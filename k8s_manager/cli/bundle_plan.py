"""Several documents planned together before any is written; a rejection is named by file and line."""

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from istio_templates.errors import Invalid, Problem
from k8s_manager.cli.advice import in_options
from k8s_manager.cli.connection import Connection, checked
from k8s_manager.cli.files.document_texts import Read, ReadDocuments
from k8s_manager.client import MOST_TOGETHER, ApiProblem, TidegateClient, Unanswered

Object = dict[str, Any]
_MOST_SHARED = MOST_TOGETHER * 3 // 4
_OLDER = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
"""A manager that cannot plan together yet, or more than it reads."""
_NAMED = re.compile(r"(?P<called>[A-Z]\w+ \S+)(?: (?P<field>\S+))?$")


def planned_together(connection: Connection, found: ReadDocuments) -> Object | None:
    """Return one plan of all documents; None where they are too many for one, or the manager has none.

    Raises `Invalid` where the fleet rejects one of them.
    """
    plans = [_plan(connection, found, chunk) for chunk in _chunks(found)]
    return plans[0] if len(plans) == 1 else None


def _chunks(found: ReadDocuments) -> Iterator[list[Read]]:
    """Yield documents that are planned in one call; of too many, some models at a time with all that they need."""
    if len(found) <= MOST_TOGETHER:
        yield list(found)
        return
    shared = [read for read in found if read[0].kind != "Model"]
    models = [read for read in found if read[0].kind == "Model"]
    if len(shared) <= _MOST_SHARED:
        size = MOST_TOGETHER - len(shared)
        yield from ([*shared, *models[begin : begin + size]] for begin in range(0, len(models), size))


def _plan(connection: Connection, found: ReadDocuments, chunk: list[Read]) -> Object | None:
    try:
        caller = TidegateClient(connection.server, connection.token, connection.timeout)
        return dict(checked(caller.plan_together([raw for _, raw in chunk])))
    except ApiProblem as error:
        if error.status in _OLDER:
            return None
        if error.problems:
            problems = [_placed(problem, found, chunk) for problem in error.problems]
            raise Invalid("nothing is written or planned, as the fleet rejects documents", problems) from None
        raise connection.failed(error) from None
    except Unanswered as error:
        raise connection.failed(error) from None


def _placed(problem: Problem, found: ReadDocuments, chunk: list[Read]) -> Problem:
    """Return a problem that names its document by number, or by kind and name, with its file and line."""
    called, field = "", problem.field
    if by_number := re.match(r"documents\.(\d+)\.?(.*)$", problem.field):
        called, field = str(chunk[int(by_number[1])][0]), by_number[2]
    elif named := _NAMED.match(problem.field):
        called, field = named["called"], named["field"] or ""
    message = in_options(problem.message)
    return Problem(found.place(called, field), f"{field}: {message}" if field else message)
