"""To which topic a sample goes, and under which key. Pure."""

import re
from dataclasses import dataclass

import orjson

from collectors.remote_write import WriteSample, sample_document
from istio_templates.errors import Invalid, Problem
from k8s_manager.collector.kafka.delivery import TopicMessage

LONGEST = 249
"""Characters of a topic's name."""
_ODD = re.compile(r"[^A-Za-z0-9._-]")
_FIELD = re.compile(r"\{(\w*)\}")
_FIELDS = ("name", "tenant")


@dataclass(frozen=True, slots=True)
class SampleTopics:
    """A topic's name, in which {name} stands for the metric and {tenant} for the tenant, and the label that says whose
    a sample is. Raises `Invalid` for a name that no topic can have."""

    template: str
    tenant_label: str = "tenant"

    def __post_init__(self) -> None:
        odd = [field for field in _FIELD.findall(self.template) if field not in _FIELDS]
        rest = _FIELD.sub("", self.template)
        if odd or _ODD.search(rest) or not self.template or self.template in (".", ".."):
            message = "is no name of a topic; use letters, digits, '.', '_', '-', and {name} or {tenant}"
            raise Invalid(self.template, [Problem("", message)])

    def message(self, sample: WriteSample) -> TopicMessage:
        """Return what is written of a sample; its key is the tenant, or the metric where the sample has none."""
        tenant = sample.labels.get(self.tenant_label, "")
        values = {"name": sample.name, "tenant": tenant}
        topic = _FIELD.sub(lambda field: _ODD.sub("_", values[field[1]] or "none"), self.template)[:LONGEST]
        return TopicMessage(topic, (tenant or sample.name).encode(), orjson.dumps(sample_document(sample)))
