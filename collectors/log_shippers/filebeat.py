"""Filebeat: reads a node's log files and ships lines.

Source of the fields: https://www.elastic.co/docs/reference/beats/filebeat (filestream, processors, outputs).
"""

from collectors.log_shippers.shipment import (
    GATEWAY_LOGS,
    MARK,
    MODEL_LOGS,
    PODS,
    STATE,
    KafkaTarget,
    LogShipment,
)
from collectors.log_shippers.yaml_text import Part, yaml_text

HEAD = "Filebeat 8.14 or later, Elasticsearch only (it refuses OpenSearch): filebeat -c FILE"
DESTINATION = "%{[fields.destination]}"
PLACE = f"{PODS}/%{{namespace}}_%{{pod}}_%{{}}/%{{container}}/%{{}}"
SCRIPT = """function process(event) {
  var line = {time: String(event.Get("@timestamp")), stream: event.Get("stream"), message: event.Get("message")};
  ["namespace", "pod", "container"].forEach(function (name) { line[name] = event.Get("place." + name); });
  event.Put("message", JSON.stringify(line));
}
"""
"""What goes to Kafka is the field `message` alone: a model's line is put into it with where it is from."""


def filebeat(shipment: LogShipment) -> str:
    """Return the configuration of Filebeat."""
    return yaml_text(HEAD, config(shipment))


def config(shipment: LogShipment) -> Part:
    """Return the configuration as an object."""
    is_kafka = isinstance(shipment.target, KafkaTarget)
    gateway = _input("gateway", GATEWAY_LOGS, shipment.gateway_files) | {"include_lines": [rf"^\{{.*{MARK}"]}
    if not is_kafka:
        gateway["processors"] = [{"decode_json_fields": {"fields": ["message"], "target": "request", "max_depth": 2}}]
    inputs = [gateway]
    if shipment.model_namespaces:
        processors: list[Part] = [_where()]
        if is_kafka:
            processors.append({"script": {"lang": "javascript", "source": SCRIPT}})
        model = _input("model", MODEL_LOGS, shipment.model_files)
        model["prospector.scanner.exclude_files"] = ["/istio-[^/]*/[^/]*$"]
        inputs.append(model | {"processors": processors})
    return {"filebeat.inputs": inputs, "path.data": STATE, **_output(shipment)}


def _input(tag: str, destination: str, files: list[str]) -> Part:
    return {
        "type": "filestream",
        "id": f"tidegate-{tag}",
        "paths": files,
        "parsers": [{"container": {"stream": "all", "format": "cri"}}],
        "fields": {"destination": destination},
    }


def _where() -> Part:
    """Return the processor by which an event says where its line is from."""
    return {"dissect": {"field": "log.file.path", "tokenizer": PLACE, "target_prefix": "place"}}


def _output(shipment: LogShipment) -> Part:
    target = shipment.target
    if isinstance(target, KafkaTarget):
        form = {"codec.format": {"string": "%{[message]}"}, "compression": "lz4", "required_acks": -1}
        return {"output.kafka": {"hosts": [*target.brokers], "topic": DESTINATION, **form}}
    output = {"hosts": [target.url], "index": DESTINATION}
    return {"setup.template.enabled": False, "setup.ilm.enabled": False, "output.elasticsearch": output}
