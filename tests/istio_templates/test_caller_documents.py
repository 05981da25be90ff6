"""Callers and authentication: what is wrong is named by its field, with what to do."""

import json

import pytest

from istio_templates.documents import CallerSpec, TenantSpec, parse
from istio_templates.documents.callers.public_keys import key_set
from istio_templates.errors import Invalid
from tests.support.caller_documents import caller, issuer, jwk
from tests.support.documents import model, tenant

AT = "2026-12-01T00:00:00Z"


def problems(document) -> str:
    with pytest.raises(Invalid) as found:
        parse(document)
    return "; ".join(map(str, found.value.problems))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"models": ["ranker"], "modelLabels": {"a": "b"}}, "give models or modelLabels"),
        ({"models": []}, "spec.models"),
        ({"models": ["ranker", "ranker"]}, "spec.models: one is listed twice"),
        ({"models": ["Ranker"]}, "spec.models[0]"),
        ({"expires": "tomorrow"}, "is no moment"),
        ({"suspended": "yes"}, "spec.suspended"),
        ({"revokedTokens": [{"id": "a"}]}, "spec.revokedTokens[0].expires: is missing"),
        ({"revokedTokens": [{"id": "a b", "expires": AT}]}, "spec.revokedTokens[0].id"),
        ({"revokedTokens": [{"id": "a", "expires": AT}] * 2}, "spec.revokedTokens: one id is listed twice"),
        ({"revokedTokens": [{"id": str(n), "expires": AT} for n in range(1001)]}, "spec.revokedTokens"),
        ({"limit": {"qps": 1}}, "spec.limit: is unknown"),
    ],
)
def test_what_is_wrong_in_a_caller_is_named(spec, said):
    assert said in problems(caller(**spec))


def test_a_caller_has_the_name_of_a_label_and_nothing_that_it_must_say():
    assert "metadata.name" in problems(caller("app_1"))
    assert isinstance(parse(caller()).spec, CallerSpec)


@pytest.mark.parametrize(
    ("authentication", "said"),
    [
        (
            {"issuers": [issuer(issuer="tidegate/search")]},
            "spec.authentication.issuers[0].issuer: 'tidegate/search' is",
        ),
        ({"issuers": [issuer(issuer="a b")]}, "spec.authentication.issuers[0].issuer"),
        ({"issuers": [issuer(audiences=[])]}, "spec.authentication.issuers[0].audiences"),
        ({"issuers": [issuer(audiences=["a", "a"])]}, "audiences: one is listed twice"),
        ({"issuers": [issuer(callerClaim="a..b")]}, "spec.authentication.issuers[0].callerClaim"),
        ({"issuers": [issuer(jwksUri="https://id.example.com/keys")]}, "jwksUri: is unknown"),
        ({"issuers": [issuer(), issuer(audiences=["models", "b"])]}, "issuers[1].audiences: 'models' of issuer"),
        ({"issuers": [issuer(issuer=f"i{n}") for n in range(11)]}, "spec.authentication.issuers"),
        ({"headers": ["Cookie"]}, "spec.authentication.headers[0]: cookie has a meaning of its own"),
        ({"headers": ["host"]}, "belongs to the gateway"),
        ({"headers": [":path"]}, "belongs to the gateway"),
        ({"headers": ["x-tidegate-caller"]}, "belongs to the gateway"),
        ({"headers": ["Authorization"]}, "carries a token always"),
        ({"headers": ["a b"]}, "is no header name"),
        ({"headers": ["x-token", "X-Token"]}, "the same header"),
        ({"required": "yes"}, "spec.authentication.required"),
    ],
)
def test_what_is_wrong_in_authentication_is_named(authentication, said):
    assert said in problems(tenant(authentication=authentication))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ([jwk(secret=True)], "key 1 is secret: each reader of this document could sign tokens"),
        ([jwk(), jwk("RS256", "k2", secret=True)], "key 2 is secret"),
        ([{"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}], "key 1 is secret"),
        ([jwk(), jwk("ES384")], "two keys with the id 'k1'"),
        ([jwk("RS256", bits=1024)], "key 1 has 1024 bits; use RSA of 2048"),
        ([{**jwk(), "alg": "ES384"}], "key 1 has alg 'ES384'; such a key signs with one of ES256"),
        ([{**jwk("RS256"), "alg": "RSA-OAEP"}], "key 1 has alg 'RSA-OAEP'"),
        ([{**jwk(), "crv": "secp256k1"}], "crv 'secp256k1'; use one of P-256"),
        ([{**jwk(), "y": jwk()["x"]}], "key 1 is no point of P-256"),
        ([{**jwk(), "x": "AQ"}], "key 1 is no point of P-256"),
        ([{**jwk(), "x": "%%"}], "key 1"),
        ([{**jwk(), "x": f"****{jwk()['x']}"}], "key 1: x is no base64url"),
        ([{**jwk("RS256"), "e": "AA"}], "key 1 is no RSA key"),
        ([{"kty": "EC", "crv": "P-256"}], "key 1 lacks x"),
        ([{"kty": "AKP"}], "key 1 has kty 'AKP'"),
        ([{**jwk(), "kid": 7}], "key 1: kid is 7"),
        ([{**jwk("EdDSA"), "x": "AQ"}], "no key of Ed25519"),
        ([{**jwk(), "use": "enc"}], "no key that verifies signatures"),
        ([], "no key that verifies signatures"),
        ([jwk(kid=str(n)) for n in range(21)], "has 21 keys; at most 20"),
        ([{**jwk(), "x5c": ["A" * 70_000]}], "longer than 64 KiB"),
    ],
)
@pytest.mark.parametrize("as_text", [False, True])
def test_keys_that_no_gateway_should_have_are_refused_with_the_remedy(keys, said, as_text):
    jwks = json.dumps({"keys": keys}) if as_text else {"keys": keys}
    found = problems(tenant(authentication={"issuers": [issuer(jwks=jwks)]}))
    assert "spec.authentication.issuers[0].jwks" in found and said in found


@pytest.mark.parametrize("jwks", ["", "no JSON", "[]", '{"keys": 1}', {"keys": ["a"]}, {}, 7, "[" * 50_000])
def test_what_is_no_jwks_is_refused(jwks):
    assert "give the JWKS that the issuer publishes" in problems(
        tenant(authentication={"issuers": [issuer(jwks=jwks)]})
    )


def test_all_algorithms_are_taken_and_gateways_get_only_what_they_need():
    keys = [jwk(name, name) for name in ("ES256", "ES384", "ES512", "EdDSA", "RS256", "PS384")]
    keys += [{**jwk("RS256", "enc"), "use": "enc", "alg": "RSA-OAEP"}, {**jwk("RS512", "plain"), "x5c": ["MII"]}]
    del keys[-1]["alg"]
    found = json.loads(key_set({"keys": keys}))["keys"]
    assert [key["kid"] for key in found] == ["ES256", "ES384", "ES512", "EdDSA", "RS256", "PS384", "plain"]
    assert all(key.keys() <= {"kty", "kid", "alg", "use", "crv", "x", "y", "n", "e"} for key in found)


def test_one_issuer_may_stand_twice_with_other_audiences():
    twice = [issuer(audiences=["models"]), issuer(audiences=["batch"], callerClaim="azp")]
    spec = parse(tenant(authentication={"issuers": twice, "headers": ["X-Token"]})).spec
    assert isinstance(spec, TenantSpec) and spec.authentication is not None
    assert spec.authentication.required and spec.authentication.headers == ("x-token",)
    assert parse(tenant()).spec.authentication is None


def test_a_model_is_the_tenants_or_public():
    assert parse(model()).spec.access == "tenant"
    assert parse(model(access="public")).spec.access == "public"
    assert "spec.access" in problems(model(access="open"))
