import pytest

from istio_templates.gateway import gateway_named
from istio_templates.virtual_service import gateways_of
from k8s_manager.standalone.translator import destinations

NAMES = [
    ("public", ("web", "public")),
    ("./public", ("web", "public")),
    ("gw/public", ("gw", "public")),
    ("public.gw", ("gw", "public")),
    ("public.gw.svc", ("gw", "public")),
    ("public.gw.svc.cluster.local", ("gw", "public")),
    ("public.gw.svc.example.org", ("gw", "public")),
    ("gw/public.v2", ("gw", "public.v2")),
]


@pytest.mark.parametrize("name, meant", NAMES)
def test_a_gateway_is_named_in_any_of_istios_forms(name, meant):
    assert gateway_named(name, "web") == meant
    assert destinations.gateway_named(name, "web") == meant


def test_the_gateways_of_a_virtual_service_have_one_form_and_the_mesh_stays():
    spec = {"gateways": ["public", "./a", "b.gw.svc.cluster.local", "mesh"]}
    found = gateways_of({"metadata": {"name": "x", "namespace": "web"}, "spec": spec})
    assert found == ("web/public", "web/a", "gw/b", "mesh")
