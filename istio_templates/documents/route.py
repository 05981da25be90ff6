"""Routes of a Model: which requests match, and how the gateway changes them."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from istio_templates.documents.fields import (
    PATH_MAX,
    Duration,
    HeaderNames,
    Headers,
    Host,
    Path,
    Port,
    ProxyDuration,
    Spec,
    brief,
    path_sent,
    portable_regex,
    rule,
    seconds,
)

ORIGIN_MAX = 256
_ORIGIN = re.compile(r"\*|null|[a-z][a-z0-9+.-]*://(\[[0-9a-f:]+\]|[a-z0-9.-]+)(:[0-9]{1,5})?")
_DEFAULT_PORTS = ("http://", ":80"), ("https://", ":443")
_ORIGIN_PREFIX = re.compile(r"[a-z0-9+.:/\[\]-]+")
# What Go, Python and RE2 read alike: no group options, no counted or possessive repetition, few escapes.
_ORIGIN_REGEX = re.compile(r"([A-Za-z0-9:/*+?()|^$.\[\]-]|\\[.dw-])+")
_OF_ONE_DOMAIN = re.compile(r"[^|]*\\\.[a-z0-9-]+\\\.[a-z]{2,}(:[0-9]{1,5})?\$?")


def exact_origin(value: str) -> str:
    """Return `value` if it is an origin as browsers send it, or `*`."""
    if not _ORIGIN.fullmatch(value):
        raise ValueError(
            f"{brief(value)} is no origin as browsers send it; write it like https://app.example.com, or *"
        )
    if port := next((port for scheme, port in _DEFAULT_PORTS if value.startswith(scheme) and value.endswith(port)), ""):
        raise ValueError(f"{brief(value)} never comes: browsers leave out {port}; write {value.removesuffix(port)}")
    return value


def _prefix_of_origins(value: str) -> str:
    if not _ORIGIN_PREFIX.fullmatch(value):
        raise ValueError(f"{brief(value)} is no beginning of an origin; write it like https://app.example.com:")
    return value


def _regex_of_origins(value: str) -> str:
    return portable_regex(value, _ORIGIN_REGEX)


def _listed_header(value: str) -> str:
    """Return the lower-case name of a header in a CORS list, or `*`."""
    if not re.fullmatch(r"\*|[A-Za-z0-9_-]+", value):
        raise ValueError(f"{brief(value)} is no header name; use letters, digits, '-' and '_', or * for all")
    return value.lower()


def _whole_seconds(value: str) -> str:
    found = seconds(value)
    if found < 1 or found.denominator != 1:
        raise ValueError(f"{brief(value)} is not in whole seconds from 1s on; browsers count in those")
    return value


RewrittenPath = Annotated[
    str, AfterValidator(path_sent), Field(json_schema_extra={"pattern": "^/", "maxLength": PATH_MAX})
]
_Text = Field(json_schema_extra={"minLength": 1}, max_length=ORIGIN_MAX)
ListedHeader = Annotated[str, Field(max_length=128), AfterValidator(_listed_header)]
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "*"]
WholeSeconds = Annotated[Duration, AfterValidator(_whole_seconds)]


class Rewrite(Spec):
    """What the model sees in place of what was asked for. `path` is the whole path; `prefix` stands for the route's own
    path, and what lies below it stays. `host` is the Host header. Query strings stay."""

    model_config = rule("!(has(self.path) && has(self.prefix))", "give one of path and prefix")

    path: RewrittenPath | None = None
    prefix: Path | None = None
    host: Host | None = None

    @model_validator(mode="after")
    def _one_path(self) -> "Rewrite":
        if self.path is not None and self.prefix is not None:
            raise ValueError("path replaces the whole path and prefix only the route's own; give one of them")
        if self.path is None and self.prefix is None and self.host is None:
            raise ValueError("give path, prefix or host, or leave rewrite out")
        return self


class Origin(Spec):
    """Origins of web pages: one `exact`ly (`*` is any), those with a `prefix`, those that fit a `regex` as a whole."""

    exact: Annotated[str, _Text, AfterValidator(exact_origin)] | None = None
    prefix: Annotated[str, _Text, AfterValidator(_prefix_of_origins)] | None = None
    regex: Annotated[str, _Text, AfterValidator(_regex_of_origins)] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> "Origin":
        if len(self.model_fields_set & {"exact", "prefix", "regex"}) != 1:
            raise ValueError("give exactly one of exact, prefix and regex")
        return self

    def too_wide(self) -> str | None:
        """Return why this must not go together with credentials: it admits any origin."""
        if self.exact in ("*", "null"):
            return f"{self.exact} is an origin that any page can have"
        if self.prefix is not None and (not self.prefix.endswith(":") or "." not in self.prefix):
            return f"prefix {self.prefix} also takes hosts of others, such as {self.prefix}.example.net; use exact"
        if self.regex is not None and not _OF_ONE_DOMAIN.fullmatch(self.regex):
            return rf"regex {self.regex} may take hosts of others; end it with a domain (\.example\.com), without |"
        return None


class Cors(Spec):
    """Which web pages of other origins may call the route. The gateway answers preflights by itself: they reach no
    model and cost no tokens."""

    model_config = rule(
        "!has(self.allowCredentials) || !self.allowCredentials || "
        "!self.allowOrigins.exists(origin, has(origin.exact) && origin.exact == '*')",
        "allowCredentials does not go together with the origin *; list the origins",
    )

    allow_origins: tuple[Origin, ...] = Field(min_length=1, max_length=32)
    allow_methods: tuple[Method, ...] = Field(default=(), max_length=8)
    allow_headers: tuple[ListedHeader, ...] = Field(default=(), max_length=64)
    expose_headers: tuple[ListedHeader, ...] = Field(default=(), max_length=64)
    max_age: WholeSeconds | None = None
    allow_credentials: bool = Field(default=False, strict=True)

    @model_validator(mode="after")
    def _credentials(self) -> "Cors":
        if not self.allow_credentials:
            return self
        if problem := next(filter(None, (origin.too_wide() for origin in self.allow_origins)), None):
            raise ValueError(f"allowCredentials: {problem}, and any of them could act for the people it is open to")
        if "*" in (*self.allow_methods, *self.allow_headers, *self.expose_headers):
            raise ValueError("allowCredentials: with credentials browsers take * for a name; list methods and headers")
        return self


class Retries(Spec):
    """How often a request that never reached a model is sent again. A model is never run twice."""

    attempts: int = Field(default=2, ge=0, le=5, strict=True)
    per_try_timeout: ProxyDuration | None = None


class HeaderChange(Spec):
    """Headers to set, to add and to remove."""

    set: Headers = {}
    add: Headers = {}
    remove: HeaderNames = ()


class Route(Spec):
    """Requests for `host` at `path` and below it, with all `headers` equal."""

    host: Host
    path: Path
    headers: Headers = {}
    protocol: Literal["http", "grpc"] = "http"
    port: Port
    timeout: ProxyDuration | None = None
    retries: Retries = Retries()
    request_headers: HeaderChange = HeaderChange()
    response_headers: HeaderChange = HeaderChange()
    rewrite: Rewrite | None = None
    cors: Cors | None = None
