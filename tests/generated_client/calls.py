"""What a program does with the generated client: `python calls.py SERVER TOKEN`."""

import sys

from tidegate_api import AuthenticatedClient
from tidegate_api.api.access import whoami
from tidegate_api.api.claim import list_claims
from tidegate_api.api.model import explain_model, get_model, list_models
from tidegate_api.models import CallerReport, ClaimPage, LimitExplanation, ModelDocument, ModelPage, Problem


def main(server: str, token: str) -> None:
    """Read what `make_search` has made, each answer as its type."""
    client = AuthenticatedClient(server, token)
    caller = whoami.sync(client=client)
    assert isinstance(caller, CallerReport) and caller.grants[0].role == "platformAdmin"
    page = list_models.sync("search", client=client)
    assert isinstance(page, ModelPage) and [found.metadata.name for found in page.items] == ["ranker"]
    model = get_model.sync("search", "ranker", client=client)
    assert isinstance(model, ModelDocument) and model.spec.versions[0].name == "v1"
    why = explain_model.sync("search", "ranker", client=client)
    assert isinstance(why, LimitExplanation) and why.explanation
    claims = list_claims.sync(client=client)
    assert isinstance(claims, ClaimPage) and claims.items[0].tenant == "search"
    missing = get_model.sync("search", "none", client=client)
    assert isinstance(missing, Problem) and missing.status == 404 and missing.request_id


if __name__ == "__main__":
    main(*sys.argv[1:])
