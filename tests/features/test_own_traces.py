"""A manager's own traces: a call, what it writes, the passes that follow, and the rows that it asks collectors for."""

from functools import partial

from k8s_manager.kube.client import KubeClient
from k8s_manager.traces.span_endpoint import recording
from tests.k8s_manager.traces.receiver import span_receiver
from tests.support.documents import gateway, model, tenant
from tests.support.waiting import until

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "inference-gw"}}
SERVER, CLIENT = 2, 3


async def test_a_call_its_writes_and_the_pass_that_acts_on_it_are_found_from_each_other(fleet):
    async with span_receiver() as receiver, recording(receiver.url, "tidegate", "one") as spans:
        async with (
            fleet.manager(connect=partial(KubeClient, spans=spans)) as manager,
            fleet.rest(manager, spans=spans) as rest,
        ):
            await fleet.apply(NAMESPACE)
            await rest.call("PUT", "/v1/gateways/shared", {"spec": gateway()["spec"]})
            headers = {"traceparent": CALLER, "If-Match": "*", "X-Request-Id": "of-the-test"}
            await rest.call("PUT", "/v1/tenants/search?ticket=T-1", {"spec": tenant()["spec"]}, headers)

            def passes():
                return [s for s in receiver.named("reconcile pass") if "Tenant search@1" in span_documents(s)]

            await until(passes, what="a pass that names the tenant")
            await until(lambda: fleet.get("Namespace", "search"), what="the tenant's namespace")
        (call,) = [span for span in receiver.spans if span.attributes.get("url.path") == "/v1/tenants/search"]
        assert call.name == "PUT /v1/tenants/{name}"
        assert (call.trace, call.parent, call.kind) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", SERVER)
        assert call.attributes["tidegate.document"] == "Tenant search@1"
        assert call.attributes["tidegate.request"] == "of-the-test"
        assert call.attributes["http.response.status_code"] == 201
        assert call.attributes["url.query"] == "REDACTED"
        written = [span for span in receiver.spans if span.parent == call.id and span.kind == CLIENT]
        assert {span.name for span in written} == {"apply Tenant"} or {span.trace for span in written} == {call.trace}
        assert written and all(span.attributes["http.response.status_code"] in (200, 201) for span in written)
        (made,) = [
            span
            for span in receiver.named("apply Namespace")
            if span.attributes["url.path"].endswith("/namespaces/search")
        ]
        assert made.parent in {span.id for span in receiver.named("reconcile pass")}
        assert not [span for span in receiver.spans if "/leases" in span.attributes.get("url.path", "")]
        assert not [span for span in receiver.spans if span.name.endswith(("/healthz", "/readyz", "/metrics"))]


def span_documents(span) -> list[str]:
    return span.attributes.get("tidegate.documents", [])


async def test_a_call_whose_caller_does_not_trace_is_not_traced(fleet):
    async with span_receiver() as receiver:
        async with (
            recording(receiver.url, "tidegate", "one") as spans,
            fleet.manager(connect=partial(KubeClient, spans=spans)) as manager,
            fleet.rest(manager, spans=spans) as rest,
        ):
            await rest.call("GET", "/v1/gateways", headers={"traceparent": UNSAMPLED})
            await rest.call("GET", "/v1/tenants")
        assert receiver.named("GET /v1/tenants") and not receiver.named("GET /v1/gateways")


async def test_a_receiver_that_is_away_changes_nothing(fleet):
    async with (
        recording("http://127.0.0.1:9", "tidegate", "one") as spans,
        fleet.manager(connect=partial(KubeClient, spans=spans)) as manager,
        fleet.rest(manager, spans=spans) as rest,
    ):
        await fleet.apply(NAMESPACE)
        for path, document in (("gateways/shared", gateway()), ("tenants/search", tenant())):
            status, _ = await rest.call("PUT", f"/v1/{path}", {"spec": document["spec"]})
            assert status == 201
        await until(lambda: fleet.get("Namespace", "search"), what="the tenant's namespace")
        await fleet.apply(model())

        async def programmed():
            return (await fleet.condition("Model", "ranker", "Programmed", "search")).get("status") == "True"

        await until(programmed, "the model being programmed")
