"""How a page is made: its template, what every template may use, and who reads it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from k8s_manager.console import ROOT
from k8s_manager.console.api_client import ApiClient
from k8s_manager.console.assets import name_of
from k8s_manager.console.sessions import Session
from k8s_manager.document_state import is_well

TEMPLATES = Path(__file__).parent / "templates"
NOTHING = "\N{EN DASH}"
"""In place of a value that there is none of."""


@dataclass(frozen=True, slots=True)
class PageReader:
    """Who reads a page: the session, the API as this caller, and what it may do where. `mark` is the moment at which
    reading began: what changes after it is missing from the page."""

    session: Session
    api: ApiClient
    now: datetime
    mark: str
    grants: tuple[Mapping[str, Any], ...]

    @classmethod
    async def of(cls, session: Session, api: ApiClient, now: datetime, mark: str) -> "PageReader":
        """Ask the API who that is; raises `ApiRefusal`."""
        found = await api.get("/v1/whoami")
        return cls(session, api, now, mark, tuple(found["grants"]))

    @property
    def is_of_fleet(self) -> bool:
        """Whether the reader may see what belongs to no tenant."""
        return self.may("read")

    def may(self, right: str, tenant: str | None = None) -> bool:
        """Tell whether the reader has a right in a tenant, or without one in the fleet."""
        for grant in self.grants:
            if right in grant["rights"] and (grant["tenants"] == "all" or tenant in grant["tenants"]):
                return True
        return False


def page(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """Return a page."""
    reader: PageReader | None = getattr(request.state, "reader", None)
    given = {
        "reader": reader,
        "csrf": reader.session.csrf if reader else "",
        "path": request.url.path,
        "query": dict(request.query_params),
        "root": ROOT,
        **values,
    }
    return HTMLResponse(environment().get_template(template).render(given), status)


def searched(request: Request) -> str:
    """Return what a list is searched for, in small letters; empty for everything."""
    return request.query_params.get("q", "").strip().lower()


@cache
def environment() -> Environment:
    """Return the templates with the filters that they use; whatever is put in is escaped."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(asset=lambda name: f"{ROOT}/assets/{name_of(name)}", link=link)
    made.filters.update(
        moment=moment,
        rate=rate,
        count=count,
        share=share,
        milliseconds=milliseconds,
        cores=cores,
        bytes=size,
        part=part,
        beside=beside,
    )
    made.tests["well"] = is_well
    return made


def link(*parts: str, **query: object) -> str:
    """Return the address of a page; parts and values are quoted."""
    path = "/".join(quote(part, safe="") for part in parts)
    given = {name: value for name, value in query.items() if value not in (None, "")}
    return f"{ROOT}/{path}" + (f"?{urlencode(given)}" if given else "")


def moment(text: str | None) -> Markup:
    """Return a moment (RFC 3339) as an element that the browser shows in its own time zone, with UTC on hover."""
    if not text:
        return Markup(NOTHING)
    try:
        found = datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return escape(text)
    utc = f"{found:%Y-%m-%d %H:%M:%S} UTC"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(f"{found:%Y-%m-%dT%H:%M:%SZ}", utc, utc)


def beside(text: str | None, minutes: int) -> str:
    """Return a moment so many minutes after another one (RFC 3339), as a field of a form has it in UTC; empty for what
    is none."""
    try:
        return f"{datetime.fromisoformat(text or '').astimezone(UTC) + timedelta(minutes=minutes):%Y-%m-%dT%H:%M}"
    except (ValueError, OverflowError):
        return ""


def rate(value: float | None) -> str:
    """Return requests per second as people write them."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"


def count(value: float | None) -> str:
    """Return a whole number with separators."""
    return NOTHING if value is None else f"{value:,.0f}"


def share(part: float, whole: float) -> str:
    """Return a part in per cent; a dash where there is no whole."""
    if not whole:
        return NOTHING
    found = 100 * part / whole
    return f"{found:.0f} %" if found >= 10 or not found else f"{found:.1f} %"


def milliseconds(value: float | None) -> str:
    """Return a latency."""
    if value is None:
        return NOTHING
    return f"{value / 1000:,.1f} s" if value >= 10_000 else f"{value:,.0f} ms" if value >= 10 else f"{value:.1f} ms"


def cores(value: float | None) -> str:
    """Return CPU cores, the way Kubernetes writes small ones."""
    return NOTHING if value is None else f"{1000 * value:.0f}m" if value < 1 else f"{value:.1f}"


def size(value: float | None) -> str:
    """Return bytes in binary units."""
    if value is None:
        return NOTHING
    return f"{value / 2**30:.1f} GiB" if value >= 2**30 else f"{value / 2**20:.0f} MiB"


def part(value: float | None) -> str:
    """Return a share between 0 and 1 in per cent."""
    return NOTHING if value is None else f"{100 * value:.0f} %"
