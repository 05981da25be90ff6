"""Lines of all kinds, for comparisons of engines: every outcome, odd names, and what is no line."""

from random import Random

import orjson

from tests.collectors.access_log.lines import BEGIN, line

KINDS: tuple[dict[str, object], ...] = (
    {},
    {"status": 302},
    {"grpc_status": 0},
    {"status": 200, "flags": "UPE"},
    {"status": 429, "flags": "RL", "details": "local_rate_limited", "duration_us": 100, "duration_ms": 0},
    {"status": 404},
    {"status": 429},
    {"grpc_status": 8},
    {"grpc_status": 5},
    {"grpc_status": -1},
    {"grpc_status": 14},
    {"status": 500},
    {"status": 503, "flags": "URX"},
    {"status": 0},
    {"status": 200, "flags": "UC,DC"},
    {"status": 503, "flags": "UH", "details": "no_healthy_upstream"},
    {"status": 503, "flags": "UO", "details": "overflow"},
    {"status": 504, "flags": "UT", "details": "response_timeout", "duration_us": None, "duration_ms": 15_000},
    {"status": 503, "flags": "UF,URX", "details": "upstream_reset_before_response_started{connection_failure}"},
    {"status": 0, "flags": "DC", "details": "downstream_remote_disconnect", "duration_us": None},
    {"status": 0, "details": None},
    {"status": 503, "details": "direct_response", "cluster": None},
    {"status": 200, "details": "cors_response"},
    {"status": 404, "flags": "NR", "details": "route_not_found", "route": None, "route_config": None, "cluster": None},
    {"status": 403, "flags": "UAEX", "details": "ext_authz_denied"},
    {"status": 408, "details": "request_overall_timeout"},
    {"status": 503, "flags": "NC,XDC,UHX", "details": "cluster_not_found"},
)
"""Values of requests; together they have every outcome."""
NAMES: tuple[dict[str, object], ...] = (
    {"route": "search.ranker"},
    {"route": "search.ranker.0.match"},
    {"route": "search.ranker.3.beta"},
    {"route": "search.ranker.0~sticky"},
    {"route": "search.ranker.0.~sticky"},
    {"route": "search.ranker.0.a.b"},
    {"route": "ads.chat.0.match", "route_config": "/apis/networking.istio.io/v1/namespaces/ads/virtual-service/chat"},
    {"route": "search.ranker.0.match", "cluster": None},
    {"route": "search.ranker.0\n"},
    {"route": "Search.ranker.0"},
    {"route": "search.-ranker.0"},
    {"route": "search.a-b.12", "route_config": "/apis/networking.istio.io/v1/namespaces/search/virtual-service/a-b"},
    {"route_config": "/apis/networking.istio.io/v1/namespaces/search/virtual-service/other"},
    {"route_config": "/apis/networking-istio.io/v1/namespaces/search/virtual-service/ranker"},
    {"route_config": None},
    {"cluster": "outbound|8080||ranker.search.svc.cluster.local"},
    {"cluster": "inbound|8080|v1|ranker.search.svc.cluster.local"},
    {"cluster": "outbound|8080|v'1\u00e9|x"},
    {"cluster": "BlackHoleCluster"},
    {"gateway": ""},
    {"gateway": 'it\'s "one"'},
)
"""Names that are no model's, or just so."""
FOREIGN = (
    b"",
    b"[2026-11-29 16:00:00.000][1][warning][main] something",
    b"[1, 2]",
    b'{"authority":"a","start_time":"2026-11-29T16:00:00.000Z","response_code":200}',
    line(BEGIN)[:-20],
    line(BEGIN, schema="gw/2"),
    line(BEGIN, time="2025-11-29T1"),
    line(BEGIN, time="2025-11-29T15:26:40.000+02:00"),
    line(BEGIN, gateway=None),
    line(BEGIN, status=None),
    line(BEGIN, bytes_in=-1),
    line(BEGIN, bytes_in=2**54),
    line(BEGIN, details="x" * 5000),
    orjson.dumps({"schema": "gw/1"}),
)
"""What no engine counts."""


def varied(seed: int, count: int) -> list[bytes]:
    """Return lines of two minutes in some order: most are of requests of every kind, some have odd names, some are
    foreign."""
    random = Random(seed)
    return [_line(random) for _ in range(count)]


def _line(random: Random) -> bytes:
    if random.random() < 0.05:
        return random.choice(FOREIGN)
    duration = int(10 ** random.uniform(0, 8))
    values: dict[str, object] = {
        "gateway": random.choice(("shared", "private")),
        "duration_us": random.choice((duration, duration, None, 0)),
        "duration_ms": duration // 1000,
        "bytes_in": random.randrange(10_000),
        "bytes_out": random.randrange(1_000_000),
        **random.choice(KINDS),
        **(random.choice(NAMES) if random.random() < 0.2 else {}),
    }
    tenant, model, version = random.choice(("search", "ads")), random.choice(("ranker", "chat")), random.choice("123")
    values.setdefault("cluster", f"outbound|8080|v{version}|{model}.{tenant}.svc.cluster.local")
    return line(BEGIN + random.randrange(120_000) / 1000, tenant, model, **values)
