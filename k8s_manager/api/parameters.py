"""The options that requests take, each the same everywhere."""

from typing import Annotated

from fastapi import Header, Query

from k8s_manager.api.pages import MOST
from k8s_manager.api.schemas.bodies import MOST_REASON, MOST_TICKET

DryRun = Annotated[bool, Query(alias="dryRun", description="Answer what would change and write nothing.")]
Match = Annotated[
    str | None,
    Header(alias="If-Match", description="The ETag of the version that is to be changed; * for whatever is there."),
]
Planned = Annotated[
    str | None,
    Query(alias="plan", max_length=64, description="The fingerprint of a dry run: refused where it would differ now."),
]
Reason = Annotated[str, Query(max_length=MOST_REASON, description="Why, for the history.")]
Ticket = Annotated[str, Query(max_length=MOST_TICKET, description="A ticket or a change request, for the history.")]
Limit = Annotated[int, Query(ge=1, le=MOST, description="How many at once; `continue` in the answer leads on.")]
Continue = Annotated[str | None, Query(alias="continue", max_length=500, description="What the last page said.")]
Selector = Annotated[
    str | None, Query(alias="labelSelector", max_length=1000, description="KEY=VALUE, several with commas.")
]
Cascade = Annotated[bool, Query(description="Delete what depends on it too.")]
