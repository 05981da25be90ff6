"""The options that requests take, each the same everywhere."""

from typing import Annotated

from fastapi import Header, Query

DryRun = Annotated[bool, Query(alias="dryRun", description="Answer what would change and write nothing.")]
Match = Annotated[str | None, Header(alias="If-Match", description="The ETag of the version that is to be changed.")]
Cascade = Annotated[bool, Query(description="Delete what depends on it too.")]
