"""The dashboard of what reads lines from Kafka and writes samples to it."""

from scripts.dashboards.board import Board
from scripts.dashboards.panel import Panel, graph_by

LINES: tuple[Panel, ...] = (
    graph_by(
        "Unread messages",
        "Messages behind what was read, of all partitions of a collector.",
        "short",
        "{{instance}}",
        "tidegate_collector_unread_messages",
    ),
    graph_by(
        "Uncommitted messages",
        "Messages that a collector in this one's place would read again.",
        "short",
        "{{instance}}",
        "tidegate_collector_uncommitted_messages",
    ),
    graph_by(
        "Partitions", "Partitions that a collector reads.", "short", "{{instance}}", "tidegate_collector_partitions"
    ),
    graph_by(
        "Held",
        "1 while a sink or the brokers are away.",
        "short",
        "{{instance}}",
        "tidegate_collector_held",
    ),
    graph_by(
        "Refused rows",
        "Rows that a sink has refused for ever.",
        "cps",
        "{{instance}}",
        "rate(tidegate_collector_refused_rows_total[$__rate_interval])",
    ),
)
SAMPLES: tuple[Panel, ...] = (
    graph_by(
        "Requests of remote write",
        "Requests by their answer: 204 is kept, 503 comes again, another 4xx is lost.",
        "reqps",
        "{{code}}",
        "sum by (code) (rate(tidegate_remote_write_requests_total[$__rate_interval]))",
    ),
    graph_by(
        "Samples",
        "Samples that were written, refused by Kafka for ever, or left out as markers of ended series.",
        "cps",
        "{{result}}",
        "sum by (result) (rate(tidegate_remote_write_samples_total[$__rate_interval]))",
    ),
    graph_by(
        "Native histograms",
        "Native histograms, which are left out.",
        "cps",
        "{{instance}}",
        "rate(tidegate_remote_write_histograms_total[$__rate_interval])",
    ),
    graph_by(
        "Requests under way",
        "Requests that wait for Kafka; at most eight.",
        "short",
        "{{instance}}",
        "tidegate_remote_write_in_flight",
    ),
    graph_by("Remote write held", "1 while Kafka is away.", "short", "{{instance}}", "tidegate_remote_write_held"),
)
KAFKA = Board("kafka", "Tidegate: Kafka", {"Lines": LINES, "Samples": SAMPLES})
