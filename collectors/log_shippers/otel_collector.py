"""The OpenTelemetry Collector: `filelog` reads a node's log files, an exporter ships lines.

Source of the fields: the documentation of filelogreceiver, pkg/stanza, kafkaexporter and elasticsearchexporter in
opentelemetry-collector-contrib, v0.165.
"""

from collectors.log_shippers.shipment import (
    GATEWAY_LOGS,
    MARK,
    MESH_FILES,
    MODEL_LOGS,
    STATE,
    KafkaTarget,
    LogShipment,
    SearchTarget,
)
from collectors.log_shippers.yaml_text import Part, yaml_text

HEAD = "OpenTelemetry Collector (contrib) 0.165 or later: otelcol-contrib --config FILE"
QUEUE = {"enabled": True, "storage": "file_storage"}
ENDLESS = {"enabled": True, "max_elapsed_time": 0}
"""Until the target is back: meanwhile lines stay in their files."""
RETRY = {"enabled": True, "max_retries": 100_000, "max_interval": "30s", "retry_on_status": [429, 502, 503, 504]}
"""The same for a search store, whose exporter has no word for endless."""


def otel_collector(shipment: LogShipment) -> str:
    """Return the configuration of the OpenTelemetry Collector."""
    return yaml_text(HEAD, config(shipment))


def config(shipment: LogShipment) -> Part:
    """Return the configuration as an object."""
    kind = "kafka" if isinstance(shipment.target, KafkaTarget) else "elasticsearch"
    receivers = {"filelog/gateway": _receiver(shipment.gateway_files) | {"operators": _gateway_operators()}}
    exporters = {f"{kind}/gateway": _exporter("gateway", GATEWAY_LOGS, shipment.target)}
    if shipment.model_namespaces:
        receivers["filelog/model"] = _receiver(shipment.model_files) | MODEL_RECEIVER
        exporters[f"{kind}/model"] = _exporter("model", MODEL_LOGS, shipment.target)
    pipelines = {
        f"logs/{receiver.partition('/')[2]}": {"receivers": [receiver], "exporters": [exporter]}
        for receiver, exporter in zip(receivers, exporters, strict=True)
    }
    return {
        "extensions": {"file_storage": {"directory": STATE, "create_directory": True}},
        "receivers": receivers,
        "exporters": exporters,
        "service": {
            "extensions": ["file_storage"],
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": pipelines,
        },
    }


MODEL_RECEIVER: Part = {"exclude": [MESH_FILES], "operators": [{"type": "container"}]}


def _receiver(files: list[str]) -> Part:
    return {
        "include": files,
        "start_at": "beginning",
        "include_file_path": True,
        "storage": "file_storage",
        "retry_on_failure": ENDLESS,
    }


def _gateway_operators() -> list[Part]:
    """Return operators that keep lines of the access log only, as objects: the Kafka exporter would quote a text."""
    quoted = MARK.replace('"', '\\"')
    return [
        {"type": "container"},
        {"type": "filter", "expr": f'not (body startsWith "{{" and body contains "{quoted}")'},
        {"type": "json_parser", "parse_to": "body"},
    ]


def _exporter(tag: str, name: str, target: KafkaTarget | SearchTarget) -> Part:
    shared: Part = {"sending_queue": QUEUE}
    if isinstance(target, KafkaTarget):
        logs = {"topic": name, "encoding": "raw" if tag == "gateway" else "otlp_json"}
        producer = {"required_acks": -1, "compression": "lz4"}
        return {"brokers": [*target.brokers], "logs": logs, "producer": producer, "retry_on_failure": ENDLESS} | shared
    mapping = {"mode": "bodymap" if tag == "gateway" else "none"}
    return {"endpoints": [target.url], "logs_index": name, "mapping": mapping, "retry": RETRY} | shared
