"""The contract `gw/1`: what one line of a gateway's access log says, and from where Envoy takes it.

Envoy writes one JSON object for each request, when that has ended. Numbers are numbers, and what does not hold is null.
Tenant, model and version come from the names that are rendered for routes and clusters, never from a header. Headers
(but x-request-id), bodies and query strings are not logged. What each field means, and its traps, stand in
docs/access-log.md.

Source of the operators: https://www.envoyproxy.io/docs/envoy/latest/configuration/advanced/substitution_formatter
"""

SCHEMA = "gw/1"
PATH_MAX = 256
HOST_MAX = 128

FIELDS = {
    "time": "%EMIT_TIME%",
    "start": "%START_TIME%",
    "duration_us": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
    "duration_ms": "%DURATION%",
    "first_byte_us": "%COMMON_DURATION(DS_RX_BEG:US_RX_BEG:us)%",
    "status": "%RESPONSE_CODE%",
    "grpc_status": "%GRPC_STATUS_NUMBER%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "route": "%ROUTE_NAME%",
    "route_config": "%METADATA(ROUTE:istio:config)%",
    "cluster": "%UPSTREAM_CLUSTER_RAW%",
    "upstream": "%UPSTREAM_HOST%",
    "upstream_failure": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "bytes_in": "%BYTES_RECEIVED%",
    "bytes_out": "%BYTES_SENT%",
    "method": "%REQ(:METHOD):16%",
    "host": f"%REQ(:AUTHORITY):{HOST_MAX}%",
    "path": f"%PATH(NQ:ORIG_OR_PATH):{PATH_MAX}%",
    "protocol": "%PROTOCOL%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "request_id": "%REQ(X-REQUEST-ID):64%",
    "trace_id": "%TRACE_ID%",
    "pod": "%ENVIRONMENT(POD_NAME)%",
    "pod_namespace": "%ENVIRONMENT(POD_NAMESPACE)%",
}
"""The fields that Envoy fills in, by name; beside them stand `schema` and `gateway`."""


def json_format(gateway: str) -> dict[str, str]:
    """Return Envoy's JSON format of the lines of one gateway."""
    return {"schema": SCHEMA, "gateway": gateway, **FIELDS}
