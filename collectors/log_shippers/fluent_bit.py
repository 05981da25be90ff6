"""Fluent Bit: reads a node's log files and ships lines.

Source of the fields: https://docs.fluentbit.io/manual (inputs/tail, filters, outputs/kafka, outputs/elasticsearch).
"""

from collectors.log_shippers.shipment import (
    GATEWAY_LOGS,
    MARK,
    MESH_FILES,
    MODEL_LOGS,
    PODS,
    STATE,
    KafkaTarget,
    LogShipment,
    SearchTarget,
)
from collectors.log_shippers.yaml_text import Part, yaml_text

HEAD = "Fluent Bit 3.2 or later: fluent-bit -c FILE"
POD_FILE = rf"^{PODS}/(?<namespace>[^_/]+)_(?<pod>[^_/]+)_[^/]+/(?<container>[^/]+)/"


def fluent_bit(shipment: LogShipment) -> str:
    """Return the configuration of Fluent Bit."""
    return yaml_text(HEAD, config(shipment))


def config(shipment: LogShipment) -> Part:
    """Return the configuration as an object."""
    target = shipment.target
    inputs = [_input("gateway", shipment.gateway_files)]
    filters: list[Part] = [{"name": "grep", "match": "gateway", "regex": rf"log ^\{{.*{MARK}"}]
    if isinstance(target, SearchTarget):
        filters.append({"name": "parser", "match": "gateway", "key_name": "log", "parser": "tidegate-line"})
    outputs = [_output("gateway", GATEWAY_LOGS, target)]
    if shipment.model_namespaces:
        inputs.append(_input("model", shipment.model_files) | {"exclude_path": MESH_FILES, "path_key": "file"})
        filters += _model_filters()
        outputs.append(_output("model", MODEL_LOGS, target))
    return {
        "service": {"flush": 1, "log_level": "info", "storage.path": f"{STATE}/buffer", "storage.sync": "normal"},
        "parsers": [
            {"name": "tidegate-line", "format": "json", "time_key": "time", "time_keep": True, **TIME},
            {"name": "tidegate-pod", "format": "regex", "regex": POD_FILE},
        ],
        "pipeline": {"inputs": inputs, "filters": filters, "outputs": outputs},
    }


TIME = {"time_format": "%Y-%m-%dT%H:%M:%S.%LZ"}


def _input(tag: str, files: list[str]) -> Part:
    return {
        "name": "tail",
        "tag": tag,
        "path": ",".join(files),
        "multiline.parser": "cri",
        "db": f"{STATE}/{tag}.db",
        "read_from_head": True,
        "skip_long_lines": True,
        "refresh_interval": 5,
        "storage.type": "filesystem",
    }


def _model_filters() -> list[Part]:
    """Return filters after which a record says where its line is from: namespace, pod, container."""
    return [
        {"name": "parser", "match": "model", "key_name": "file", "parser": "tidegate-pod", "reserve_data": True},
        {"name": "modify", "match": "model", "rename": "log message", "remove": "_p"},
    ]


def _output(tag: str, name: str, target: KafkaTarget | SearchTarget) -> Part:
    shared = {"match": tag, "retry_limit": "no_limits"}
    if isinstance(target, KafkaTarget):
        form: Part = {"format": "raw", "raw_log_key": "log"} if tag == "gateway" else MODEL_FORM
        return {"name": "kafka", **shared, "brokers": ",".join(target.brokers), "topics": name, **form, **RELIABLE}
    found: Part = {"name": "es", **shared, "host": target.host, "port": target.port, "index": name}
    if target.path:
        found["path"] = target.path
    # Lines of models may be equal; those of gateways are not, so that their ids can be made of them.
    found |= {"suppress_type_name": True, "write_operation": "create", "generate_id": tag == "gateway"}
    return found | {"replace_dots": False, "tls": target.scheme == "https", "buffer_size": "4M"}


MODEL_FORM = {"format": "json", "timestamp_key": "time", "timestamp_format": "iso8601"}
RELIABLE = {"rdkafka.enable.idempotence": "true", "rdkafka.compression.codec": "lz4", "queue_full_retries": 0}
