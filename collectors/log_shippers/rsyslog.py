"""rsyslog: reads a node's log files and ships lines.

Source of the fields: https://www.rsyslog.com/doc (imfile, omkafka, omelasticsearch, RainerScript); tried with rsyslog
8.2302 in tests/pipeline/test_rsyslog.py.
"""

from collections.abc import Iterable, Iterator

from collectors.log_shippers.shipment import (
    GATEWAY_LOGS,
    MARK,
    MODEL_LOGS,
    STATE,
    KafkaTarget,
    LogShipment,
    SearchTarget,
)

HEAD = "# rsyslog 8.2302 or later with its modules for Kafka or Elasticsearch: rsyslogd -n -f FILE"
CRI = "^([^ ]+) (stdout|stderr) ([FP]) (.*)$"
PLACE = "/([^_/]+)_([^_/]+)_[^/]+/([^/]+)/[^/]+$"
GATEWAY_LINE = 'template(name="gateway" type="string" string="%$!text%")'
MODEL_LINE = """template(name="model" type="list" option.jsonf="on") {
  property(outname="time" name="$!time" format="jsonf")
  property(outname="stream" name="$!stream" format="jsonf")
  property(outname="partial" name="$!partial" format="jsonf")
  property(outname="message" name="$!text" format="jsonf")
  property(outname="namespace" name="$!namespace" format="jsonf")
  property(outname="pod" name="$!pod" format="jsonf")
  property(outname="container" name="$!container" format="jsonf")
}"""
IDENTITY = 'template(name="identity" type="string" string="%$!metadata!filename%|%$!metadata!fileoffset%|%$!time%")'
"""A line that is given again is found to be there. A runtime that rotates a file begins with offset 0 again."""


def rsyslog(shipment: LogShipment) -> str:
    """Return the configuration of rsyslog."""
    return "\n".join([HEAD, *_lines(shipment)]) + "\n"


def _lines(shipment: LogShipment) -> Iterator[str]:
    module = "omkafka" if isinstance(shipment.target, KafkaTarget) else "omelasticsearch"
    yield f'global(workDirectory={quoted(STATE)} maxMessageSize="64k")'
    yield 'module(load="imfile" mode="inotify")'
    yield f'module(load="{module}")'
    yield GATEWAY_LINE
    if module == "omelasticsearch":
        yield IDENTITY
    yield from (_input(name, "gateway") for name in shipment.gateway_files)
    yield from _ruleset("gateway", GATEWAY_LOGS, shipment.target)
    if shipment.model_namespaces:
        yield MODEL_LINE
        yield from (_input(name, "model") for name in shipment.model_files)
        yield from _ruleset("model", MODEL_LOGS, shipment.target)


def _input(file: str, name: str) -> str:
    given = {"File": file, "Tag": name, "addMetadata": "on", "reopenOnTruncate": "on", "ruleset": name}
    return f'input(type="imfile" {_parameters(given)})'


def _ruleset(tag: str, name: str, target: KafkaTarget | SearchTarget) -> Iterator[str]:
    """Yield a ruleset: parts a line of CRI, keeps what belongs here, and ships it."""
    yield f"ruleset(name={quoted(tag)}) {{"
    for field, number in (("time", 1), ("stream", 2), ("text", 4)):
        yield f'  set $!{field} = re_extract($msg, {quoted(CRI)}, 0, {number}, "");'
    if tag == "gateway":
        yield f'  if not ($!text startswith "{{" and $!text contains {quoted(MARK)}) then stop'
    else:
        yield '  if $!metadata!filename contains "/istio-" then stop'
        yield f'  set $!partial = re_extract($msg, {quoted(CRI)}, 0, 3, "") == "P";'
        for number, field in enumerate(("namespace", "pod", "container"), 1):
            yield f'  set $!{field} = re_extract($!metadata!filename, {quoted(PLACE)}, 0, {number}, "");'
    yield f"  {_action(tag, name, target)}"
    yield "}"


def _action(tag: str, name: str, target: KafkaTarget | SearchTarget) -> str:
    queue = {
        "queue.type": "linkedList",
        "queue.filename": tag,
        "queue.maxDiskSpace": "1g",
        "queue.saveOnShutdown": "on",
    }
    shared = {"template": tag, **queue, "action.resumeRetryCount": "-1"}
    if isinstance(target, KafkaTarget):
        kafka = {"topic": name, "resubmitOnFailure": "on", "keepFailedMessages": "on"}
        lists = f'broker=[{_list(target.brokers)}] confParam=["compression.codec=lz4", "enable.idempotence=true"]'
        return (
            f'action(type="omkafka" {lists} {_parameters(kafka | {"failedMsgFile": f"{STATE}/failed-{tag}"} | shared)})'
        )
    search = {
        "server": target.host,
        "serverport": str(target.port),
        "usehttps": "on" if target.scheme == "https" else "off",
        "searchIndex": name,
        "searchType": "",
        "bulkmode": "on",
        "dynbulkid": "on",
        "bulkid": "identity",
        "writeoperation": "create",
        "errorfile": f"{STATE}/refused-{tag}",
    }
    return f'action(type="omelasticsearch" {_parameters(search | shared)})'


def quoted(text: str) -> str:
    """Return a text as a constant of RainerScript."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'


def _parameters(given: dict[str, str]) -> str:
    return " ".join(f"{name}={quoted(value)}" for name, value in given.items())


def _list(values: Iterable[str]) -> str:
    return ", ".join(map(quoted, values))
