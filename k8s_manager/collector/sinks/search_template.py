"""The index template of rows: a data stream, and how each field of a row is indexed."""

from typing import Any

from collectors.access_log.rows import SUMMED, RowPlace

Body = dict[str, Any]
PRIORITY = 200
"""Above templates for everything, and below what an operator would choose to override this one."""


def index_template(stream: str) -> Body:
    """Return the template of a data stream of rows.

    What is not listed is kept and not indexed, so that a later version's rows are taken too. Latency buckets are pairs,
    which a search store cannot add up: they are only kept.
    """
    moment = {"type": "date", "format": "epoch_millis"}
    keywords = (*RowPlace._fields, "source", "row")
    counts = (*SUMMED, "revision", "window")
    fields: Body = {
        "@timestamp": moment,
        "start": moment,
        **{name: {"type": "keyword"} for name in keywords},
        **{name: {"type": "long"} for name in counts},
        "latency": {"type": "object", "enabled": False},
    }
    mappings = {"dynamic": False, "properties": fields}
    return {
        "index_patterns": [stream],
        "data_stream": {},
        "priority": PRIORITY,
        "template": {"mappings": mappings},
        "_meta": {"description": "Rows of Tidegate's collector"},
    }
