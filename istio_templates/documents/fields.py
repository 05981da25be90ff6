"""The types of single fields: each rejects with a sentence that says what is allowed."""

import re
from datetime import timedelta
from fractions import Fraction
from functools import cache, lru_cache
from reprlib import Repr
from typing import Annotated, Any, get_origin

from annotated_types import MaxLen
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic.alias_generators import to_camel

from istio_templates.errors import MOST_PROBLEMS

LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
DURATION = r"([0-9]+(\.[0-9]+)?(ms|s|m|h))+"
DURATION_MAX = 32
DAY = 86_400
PROVIDER = r"[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?"
PROVIDER_MAX = 253
HOST_MAX = 253
HEADER_MAX = 1024
PATH_MAX = 256
TEXT_MAX = 131_072  # the longest argument and environment variable that Linux passes to a program (MAX_ARG_STRLEN)
"""Most characters of a text: a longer one is rejected before anything reads it."""
MOST_ITEMS = 1000
"""Of a list or a mapping that has no bound of its own."""
ANNOTATION_BYTES = 256 * 1024
_UNITS = {"ms": Fraction(1, 1000), "s": Fraction(1), "m": Fraction(60), "h": Fraction(3600)}
_IPV4 = re.compile(r"((25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(\.|$)){4}")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_BRIEF = Repr()
_BRIEF.maxstring, _BRIEF.maxother, _BRIEF.maxdict, _BRIEF.maxlist, _BRIEF.maxlevel = 80, 80, 3, 3, 2
_RESERVED_HEADERS = ("x-envoy-", "x-tidegate-", ":")


class Spec(BaseModel):
    """A part of a document: camelCase outside, nothing unknown accepted, never changed after reading."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _bounded(cls, value: Any) -> Any:
        """Refuse at once what is longer than anything here: else each part of it would be found wrong by itself."""
        if not isinstance(value, dict):
            return value
        bounds = _bounds_of(cls)
        if cls.model_config.get("extra") == "forbid" and len(value) > len(bounds) + MOST_PROBLEMS:
            unknown = [name for name in value if name not in bounds]
            raise ValueError(f"has {len(value)} fields; {brief(unknown[0])} is unknown, and so are others")
        for name, inner in value.items():
            most = bounds.get(name)
            if most is not None and isinstance(inner, list | dict) and len(inner) > most + MOST_PROBLEMS:
                raise ValueError(f"{name}: has {len(inner)} items; at most {most} are taken")
        return value

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        """Take null as absent, as Kubernetes does; a field that is unknown stays to be named."""
        if not isinstance(value, dict) or None not in value.values():
            return value
        known = {info.alias for info in cls.model_fields.values()}
        return {name: inner for name, inner in value.items() if inner is not None or name not in known}


@cache
def _bounds_of(model: type[Spec]) -> dict[str, int | None]:
    """Return the names of a model's fields, each with how many items it takes."""
    found: dict[str, int | None] = {}
    for name, info in model.model_fields.items():
        most = next((one.max_length for one in info.metadata if isinstance(one, MaxLen)), None)
        if most is None and (get_origin(info.annotation) is tuple or info.annotation in (Labels, dict[str, str])):
            most = MOST_ITEMS
        found |= {name: most, info.alias or name: most}
    return found


def brief(value: Any) -> str:
    """Return a value as a message shows it: what was sent may be of any size."""
    return _BRIEF.repr(value)


_NOT_ALIKE = re.compile(r"[*+?]\+|\(\?|\[\[")


def portable_regex(value: str, characters: re.Pattern[str]) -> str:
    """Return `value` if it is a regular expression that Go, Python and RE2 read alike, of these `characters`: no group
    options, no counted or possessive repetition, few escapes."""
    if not characters.fullmatch(value) or _NOT_ALIKE.search(value):
        raise ValueError(
            f"{brief(value)} has parts that not every proxy knows; use letters, digits, "
            r"\. \d \w and [] () | * + ? alone"
        )
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"{brief(value)} is no regular expression ({error})") from error
    return value


def rule(expression: str, message: str) -> ConfigDict:
    """Return a rule (CEL) that the API server checks too, so that `kubectl apply` says it."""
    return ConfigDict(json_schema_extra={"x-kubernetes-validations": [{"rule": expression, "message": message}]})


def without_nulls(value: Any) -> Any:
    """Return a value without what is null in it, at any depth: templating tools print that for what is empty."""
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [without_nulls(inner) for inner in value if inner is not None]
    return value


OfKubernetes = Annotated[dict[str, Any], BeforeValidator(without_nulls)]
"""A part of a Kubernetes object, which its API server checks."""
EnvVars = Annotated[
    tuple[
        Annotated[
            OfKubernetes,
            WithJsonSchema(
                {
                    "type": "object",
                    "required": ["name"],
                    "additionalProperties": True,
                    "properties": {"name": {"type": "string"}, "value": {"type": "string", "nullable": True}},
                    "x-kubernetes-preserve-unknown-fields": True,
                }
            ),
        ],
        ...,
    ],
    Field(json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}),
]
"""Environment variables; of each name there is one."""


def dns_label(value: str) -> str:
    """Return `value` if Kubernetes takes it as a DNS-1123 label."""
    if not _is_label(value):
        raise ValueError(
            f"{brief(value)} is not a DNS label; use lower-case letters, digits and '-', at most 63, "
            "starting and ending with a letter or digit"
        )
    return value


def host_name(value: str) -> str:
    """Return the one spelling of a host: lower case, IDNA, no trailing dot, no port."""
    if len(value) > HOST_MAX + 1:
        raise ValueError(f"{brief(value)} is longer than {HOST_MAX} characters; no host is")
    bare = value.strip().lower().removesuffix(".")
    if re.search(r":\d+$", bare):
        raise ValueError(f"{brief(value)} carries a port; write the host alone")
    try:
        encoded = ".".join(_ascii_label(label) for label in bare.split("."))
    except UnicodeError as error:
        raise ValueError(f"{brief(value)} is no host name ({error}); write it like models.example.com") from error
    labels = encoded.split(".")
    if len(labels) < 2 or len(encoded) > 253 or _ends_in_number(encoded) or not all(map(_is_label, labels)):
        raise ValueError(f"{brief(value)} is no full host name; write it like models.example.com")
    return encoded


def _ends_in_number(host: str) -> bool:
    """Tell whether a host ends in a number and is no IPv4 address: Istio takes no such host."""
    return host.rpartition(".")[2].isdigit() and not _IPV4.fullmatch(host)


def _is_label(text: str) -> bool:
    return len(text) <= 63 and re.fullmatch(LABEL, text) is not None


def _ascii_label(label: str) -> str:
    return label if label.isascii() else label.encode("idna").decode("ascii")


def route_path(value: str) -> str:
    """Return `value` if it is a plain absolute path, without a trailing slash (but `/` itself)."""
    return path_sent(value).rstrip("/") or "/"


def path_sent(value: str) -> str:
    """Return `value` if it is a plain absolute path: no query, nothing encoded, nothing that a proxy would rewrite."""
    if len(value) > PATH_MAX:
        raise ValueError(f"is longer than {PATH_MAX} characters")
    if not value.startswith("/"):
        raise ValueError(f"{brief(value)} has no leading '/'; write /{value}")
    if not re.fullmatch(r"[A-Za-z0-9._~!$&'()*+,;=:@/-]*", value):
        raise ValueError(
            f"{brief(value)} has characters that a path may not have; use letters, digits and ._~!$&'()*+,;=:@-/"
        )
    if "//" in value or any(part in (".", "..") for part in value.split("/")):
        raise ValueError(f"{brief(value)} has an empty, '.' or '..' segment; proxies rewrite those")
    return value


def lies_in(path: str, folder: str) -> bool:
    """Tell whether a path is `folder` or below it."""
    return folder == "/" or path == folder or path.startswith(f"{folder}/")


def header_name(value: str) -> str:
    """Return the lower-case name of a header that a tenant may match or set."""
    if len(value) > HEADER_MAX:
        raise ValueError(f"{brief(value)} is longer than {HEADER_MAX} characters; shorten it")
    name = value.lower()
    if name.startswith(_RESERVED_HEADERS) or name in ("host", "connection", "transfer-encoding", "content-length"):
        raise ValueError(f"{brief(value)} belongs to the gateway; choose a header of your own")
    if not _HEADER.fullmatch(name):
        raise ValueError(f"{brief(value)} is no header name; use letters, digits and '-'")
    return name


def distinct_headers(value: Any) -> Any:
    """Return header names, alone or with values, of which no two are the same header in another spelling."""
    seen: dict[str, Any] = {}
    for name in value if isinstance(value, dict | list | tuple) else ():
        key = str(name).lower()
        if key in seen:
            raise ValueError(
                f"{brief(seen[key])} and {brief(name)} are the same header, whose name has no case; keep one of the two"
            )
        seen[key] = name
    return value


def header_value(value: str) -> str:
    """Return `value` if it fits on one header line."""
    if len(value) > 1024 or not value.isprintable() or not value.isascii():
        raise ValueError("a header value is at most 1024 printable ASCII characters on one line")
    if "%" in value:
        raise ValueError("'%' starts a proxy command in a header value; leave it out")
    return value


def seconds(text: str) -> Fraction:
    """Return the seconds in a duration such as `1m30s`; `ValueError` where there is no unit."""
    if len(text) > DURATION_MAX:
        raise ValueError(f"{brief(text)} is longer than {DURATION_MAX} characters; no duration needs more")
    return _seconds(text)


def span(text: str) -> timedelta:
    """Return the length of time in a duration; `ValueError` where there is no unit."""
    return timedelta(seconds=float(seconds(text)))


@lru_cache(4096)
def _seconds(text: str) -> Fraction:
    if not re.fullmatch(DURATION, text):
        raise ValueError(f"{brief(text)} is no duration; write a number with its unit, such as 200ms, 5s or 1m30s")
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)", text)
    return sum((Fraction(number) * _UNITS[unit] for number, unit in parts), Fraction(0))


def _length(value: Any) -> Fraction:
    if isinstance(value, bool) or not isinstance(value, str):
        raise ValueError(f"{brief(value)} is no duration; write a string with its unit, such as 200ms, 5s or 1m30s")
    return seconds(value)


def _duration(value: Any) -> Any:
    if _length(value) > DAY:
        raise ValueError(f"{brief(value)} is longer than a day")
    return value


def _long_duration(value: Any) -> Any:
    if _length(value) > 30 * DAY:
        raise ValueError(f"{brief(value)} is longer than 30 days")
    return value


def _proxy_duration(value: str) -> str:
    given = seconds(value)
    if given < Fraction(1, 1000) or given * 1000 % 1:
        raise ValueError(
            f"{brief(value)} is below 1ms, or has parts of one; Istio takes whole milliseconds, from 1ms on"
        )
    return value


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{brief(value)} is no number; write requests per second, such as 40 or 0.5")
    return value


def _percentage(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise ValueError(f"{brief(value)} is no percentage; write a number from 0 to 100, such as 1 or 0.5")
    return value


def provider_name(value: str) -> str:
    """Return `value` if it can be the name of an extension provider of the mesh."""
    if len(value) > PROVIDER_MAX or not re.fullmatch(PROVIDER, value):
        raise ValueError(
            f"{brief(value)} is no name of an extension provider; write the name that it has in the mesh's "
            f"extensionProviders: at most {PROVIDER_MAX} letters, digits, '.', '_' and '-'"
        )
    return value


def host_or_wildcard(value: str) -> str:
    """Return the one spelling of a host claim; a wildcard stands for one whole first label."""
    return "*." + host_name(value[2:]) if value.startswith("*.") else host_name(value)


def text_passed(value: str) -> str:
    """Return `value` if a program can be given it."""
    if len(value) > TEXT_MAX:
        raise ValueError(f"has {len(value)} characters; a program takes at most {TEXT_MAX}, put it into a file")
    return value


TextPassed = Annotated[str, AfterValidator(text_passed)]
MOST_HEADERS = 64
"""Headers of one map; the API server checks rules only where their cost has a bound."""
DnsLabel = Annotated[
    str, AfterValidator(dns_label), Field(json_schema_extra={"pattern": f"^{LABEL}$", "maxLength": 63})
]
Host = Annotated[str, AfterValidator(host_name)]
Path = Annotated[str, AfterValidator(route_path), Field(json_schema_extra={"pattern": "^/", "maxLength": PATH_MAX})]
HeaderName = Annotated[str, AfterValidator(header_name)]
HeaderValue = Annotated[str, AfterValidator(header_value)]
Headers = Annotated[
    dict[HeaderName, HeaderValue],
    Field(max_length=MOST_HEADERS),
    BeforeValidator(distinct_headers),
    Field(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "self.all(name, self.exists_one(other, other.lowerAscii() == name.lowerAscii()))",
                    "message": "two names are the same header, whose name has no case; keep one of the two",
                }
            ]
        },
    ),
]
HeaderNames = Annotated[tuple[HeaderName, ...], BeforeValidator(distinct_headers)]
_DURATION_SCHEMA = WithJsonSchema({"type": "string", "pattern": f"^{DURATION}$", "maxLength": DURATION_MAX})
Duration = Annotated[str, BeforeValidator(_duration), _DURATION_SCHEMA]
"""At most a day."""
LongDuration = Annotated[str, BeforeValidator(_long_duration), _DURATION_SCHEMA]
"""At most 30 days."""
ProxyDuration = Annotated[
    Duration,
    AfterValidator(_proxy_duration),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": f"^{DURATION}$",
            "maxLength": DURATION_MAX,
            "x-kubernetes-validations": [
                {"rule": "duration(self) >= duration('1ms')", "message": "must be a duration of at least 1ms"}
            ],
        }
    ),
]
Port = Annotated[int, Field(ge=1, le=65535, strict=True)]
Count = Annotated[int, Field(ge=0, le=10_000, strict=True)]
Rate = Annotated[float, BeforeValidator(_number), Field(ge=0.01, le=1_000_000, allow_inf_nan=False)]
Percentage = Annotated[float, BeforeValidator(_percentage), Field(json_schema_extra={"minimum": 0, "maximum": 100})]
ProviderName = Annotated[
    str,
    AfterValidator(provider_name),
    Field(json_schema_extra={"pattern": f"^{PROVIDER}$", "maxLength": PROVIDER_MAX}),
]
LabelValue = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", max_length=63)]
LabelKey = Annotated[
    str,
    Field(
        pattern=rf"^({LABEL}(\.{LABEL})*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?$",
        max_length=317,
    ),
]
Labels = dict[LabelKey, LabelValue]


def exact(value: float) -> Fraction:
    """Return the fraction that a person wrote: 0.1 is one tenth, not its binary neighbour."""
    return Fraction(str(value))
