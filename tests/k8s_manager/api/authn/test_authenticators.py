"""Tokens: whose they are, and which are none. Issuers and files are replaced at their transport."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from istio_templates.errors import Invalid, Transient, Waiting
from k8s_manager.api.authn.authenticators import Authenticators, Unidentified
from k8s_manager.api.authn.key_fetch import fetcher
from k8s_manager.api.authn.oidc import KEYS_HOLD, PAUSE, Oidc
from k8s_manager.api.authn.own_token import HOLDER, Token
from k8s_manager.api.authn.static_tokens import StaticTokens, hashed, new_token
from k8s_manager.api.authn.token_review import AT_ONCE, MOST_WAITING, TokenReviews
from k8s_manager.authz.issuer import Issuer
from k8s_manager.authz.roles import MASTERS, Identity
from k8s_manager.kube.client import KubeClient

URL = "https://issuer.example.com"
NOW = 1_800_000_000
PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CURVE = ec.generate_private_key(ec.SECP256R1())


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def utc(self) -> datetime:
        return datetime.fromtimestamp(NOW + self.time, UTC)


class Published:
    """What the issuer answers, and how often it was asked."""

    def __init__(self, **keys) -> None:
        self.keys, self.asked, self.away = keys, [], False

    async def __call__(self, address: str) -> dict:
        self.asked.append(address)
        if self.away:
            raise Transient("away")
        if address.endswith("openid-configuration"):
            return {"issuer": URL, "jwks_uri": f"{URL}/keys"}
        return {
            "keys": [public(kid, key) for kid, key in self.keys.items()] + [{"kty": "oct", "k": "c2VjcmV0", "kid": "s"}]
        }


def public(kid: str, key) -> dict:
    algorithm = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid, "use": "sig"}


def token(key=PRIVATE, algorithm="RS256", kid="k1", **claims) -> str:
    told = {"iss": URL, "aud": "tidegate", "sub": "anna", "groups": ["ml"], "exp": NOW + 300, **claims}
    return jwt.encode({k: v for k, v in told.items() if v is not None}, key, algorithm, headers={"kid": kid})


def unsigned(**claims) -> str:
    told = {"iss": URL, "aud": "tidegate", "sub": "root", "exp": NOW + 300, **claims}
    parts = [{"alg": "none", "kid": "k1", "typ": "JWT"}, told]
    return ".".join([*(base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts), ""])


def oidc(**changes):
    clock, published = Clock(), Published(k1=PRIVATE, e1=CURVE)
    return Oidc(Issuer(URL, "tidegate", **changes), published, clock), published, clock


async def test_a_token_of_the_issuer_names_its_user_and_groups_with_either_kind_of_key():
    taken, published, _ = oidc()
    assert await taken.identity(token()) == Identity("anna", frozenset({"ml"}))
    assert await taken.identity(token(CURVE, "ES256", "e1")) == Identity("anna", frozenset({"ml"}))
    assert published.asked == [f"{URL}/.well-known/openid-configuration", f"{URL}/keys"]


async def test_other_claims_may_hold_the_names_and_one_group_may_stand_alone():
    taken, _, _ = oidc(user_claim="email", groups_claim="team")
    assert await taken.identity(token(email="a@example.com", team="ml")) == Identity("a@example.com", frozenset({"ml"}))


PEM = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def signed_with_the_public_key() -> str:
    """Return the classic forgery: the public key taken for a shared secret."""
    parts = [{"alg": "HS256", "kid": "k1"}, {"iss": URL, "aud": "tidegate", "sub": "root", "exp": NOW + 300}]
    said = ".".join(base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts)
    mac = hmac.new(PEM, said.encode(), hashlib.sha256).digest()
    return said + "." + base64.urlsafe_b64encode(mac).decode().rstrip("=")


def tampered() -> str:
    head, _, signature = token().split(".")
    claims = base64.urlsafe_b64encode(
        json.dumps({"iss": URL, "aud": "tidegate", "sub": "root", "exp": NOW + 300}).encode()
    )
    return ".".join([head, claims.decode().rstrip("="), signature])


FORGED = [
    ("expired", token(exp=NOW - 60), "expired"),
    ("without an end", token(exp=None), "exp"),
    ("not yet valid", token(nbf=NOW + 600), "compare the clocks"),
    ("meant for somebody else", token(aud="other"), "Audience"),
    ("meant for nobody", token(aud=None), "aud"),
    ("of another key under a known id", token(OTHER), "Signature"),
    ("of a key that is not published", token(OTHER, kid="k9"), "does not publish"),
    ("without a signature", unsigned(), "'none'"),
    ("signed with the public key as a secret", signed_with_the_public_key(), "HS256"),
    ("with an algorithm that is not taken", token(algorithm="RS512"), "RS512"),
    ("with its claims changed", tampered(), "Signature"),
    ("without a user", token(sub=None), "names no user"),
    ("with a user that is no text", token(sub="") , "names no user"),
    ("with the manager's own name", token(sub="tidegate:root"), "names no user"),
    ("with a name of Kubernetes' own", token(sub="system:serviceaccount:ci:deploy"), "names no user"),
    ("with a name that is none", token(sub="a\ud800"), "names no user"),
    ("with a name of two lines", token(sub="anna\nroot"), "names no user"),
    ("with a name beyond measure", token(sub="a" * 254), "names no user"),
    ("of a curve under the id of another key", token(CURVE, "ES256", "k1"), "does not hold"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "forged", "words"), FORGED, ids=[what for what, _, _ in FORGED])
async def test_what_does_not_hold_is_refused_with_its_reason_and_without_the_token(what, forged, words):
    taken, _, _ = oidc()
    with pytest.raises(Unidentified, match=words) as caught:
        await taken.identity(forged)
    assert forged not in str(caught.value)


@pytest.mark.parametrize("foreign", ["", "abc", "a.b.c", token(iss="https://evil.example.com"), "x" * 20_000, "é.ü.ö"])
async def test_what_is_not_the_issuers_is_left_to_other_proofs(foreign):
    taken, published, _ = oidc()
    assert await taken.identity(foreign) is None
    assert published.asked == []


async def test_a_new_key_is_found_and_unknown_ones_do_not_make_the_issuer_be_asked_again_and_again():
    taken, published, clock = oidc()
    await taken.identity(token())
    asked = len(published.asked)
    published.keys["k2"] = OTHER
    clock.time += PAUSE
    assert await taken.identity(token(OTHER, kid="k2")) == Identity("anna", frozenset({"ml"}))
    for number in range(50):
        with pytest.raises(Unidentified):
            await taken.identity(token(OTHER, kid=f"guess-{number}"))
    assert len(published.asked) == asked + 2


async def test_a_key_that_is_withdrawn_counts_no_longer_than_the_keys_hold():
    taken, published, clock = oidc()
    await taken.identity(token())
    del published.keys["k1"]
    clock.time += KEYS_HOLD + 1
    with pytest.raises(Unidentified, match="does not publish"):
        await taken.identity(token(exp=NOW + 10_000))


async def test_an_issuer_that_is_away_leaves_known_keys_in_force_and_at_the_start_means_to_wait():
    taken, published, clock = oidc()
    published.away = True
    with pytest.raises(Waiting, match="could not be read yet"):
        await taken.identity(token())
    published.away, clock.time = False, clock.time + PAUSE
    await taken.identity(token())
    published.away, clock.time = True, clock.time + KEYS_HOLD + 1
    assert (await taken.identity(token(exp=NOW + 10_000))).user == "anna"


async def test_groups_that_are_the_managers_own_are_not_taken_from_a_token():
    taken, _, _ = oidc()
    assert await taken.identity(token(groups=["ml", MASTERS, "system:masters", "\ud800", 7, ""])) == Identity(
        "anna", frozenset({"ml"})
    )


@pytest.mark.parametrize("algorithms", [("HS256",), ("none",), ()])
def test_secret_and_missing_algorithms_cannot_be_configured(algorithms):
    with pytest.raises(Invalid, match="is not taken"):
        Issuer(URL, "tidegate", algorithms)
    with pytest.raises(Invalid, match="audience"):
        Issuer(URL, "")


def tokens_file(folder: Path, *entries: dict) -> Path:
    file = folder / "tokens.yaml"
    file.write_text(json.dumps({"tokens": list(entries)}))
    return file


async def test_a_static_token_is_known_by_its_hash_and_a_changed_file_is_read_again(tmp_path):
    anna, bob = new_token(), new_token()
    file = tokens_file(tmp_path, {"user": "anna", "groups": ["ml"], "sha256": hashed(anna)})
    static = StaticTokens(file)
    static.read()
    assert await static.identity(anna) == Identity("anna", frozenset({"ml"}))
    assert await static.identity(bob) is None and await static.identity(hashed(anna)) is None
    tokens_file(tmp_path, {"user": "bob", "sha256": hashed(bob)}, {"user": "eve", "sha256": hashed("e")})
    assert await static.identity(anna) is None
    assert (await static.identity(bob)).user == "bob"
    file.write_text("tokens: [broken")
    assert (await static.identity(bob)).user == "bob"


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"user": "anna", "token": "plain"}, "token"),
        ({"user": "anna", "sha256": "abc"}, "sha256"),
        ({"user": "", "sha256": "0" * 64}, "user"),
        ({"user": "anna", "groups": [MASTERS], "sha256": "0" * 64}, "manager's own"),
    ],
)
def test_a_file_of_tokens_that_is_wrong_is_refused_with_the_field(tmp_path, entry, words):
    with pytest.raises(Invalid, match=words):
        StaticTokens(tokens_file(tmp_path, entry)).read()


async def test_proofs_are_asked_in_turn_and_nobody_is_let_in_without_one(tmp_path):
    anna = new_token()
    static = StaticTokens(tokens_file(tmp_path, {"user": "anna", "sha256": hashed(anna)}))
    taken, _, _ = oidc()
    proofs = Authenticators([Token("own"), static, taken])
    assert await proofs.identity("own") == HOLDER
    assert (await proofs.identity(anna)).user == "anna"
    assert (await proofs.identity(token(sub="carl"))).user == "carl"
    for wrong in (None, "", "guessed"):
        with pytest.raises(Unidentified):
            await proofs.identity(wrong)


RIGHT, WRONG = token(aud=["tidegate"], sub="right"), token(aud=["tidegate"], sub="wrong")


class Reviews:
    """An API server that knows one token, at its transport."""

    def __init__(self, audiences=("tidegate",)) -> None:
        self.asked, self._audiences = 0, list(audiences)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        spec = (await request.json())["spec"]
        assert spec["audiences"] == ["tidegate"]
        user = {"username": "system:serviceaccount:ci:deploy", "groups": ["system:authenticated", MASTERS]}
        good = {"authenticated": True, "audiences": self._audiences, "user": user}
        return web.json_response({"status": good if spec["token"] == RIGHT else {"authenticated": False}})


@contextlib.asynccontextmanager
async def reviewing(reviews: Reviews, clock: Clock):
    app = web.Application()
    app.router.add_post("/apis/authentication.k8s.io/v1/tokenreviews", reviews.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession() as session:
        client = KubeClient(f"http://127.0.0.1:{runner.addresses[0][1]}", session)
        yield TokenReviews(client, clock, "tidegate")
    await runner.cleanup()


async def test_the_api_server_says_whose_a_token_is_and_is_asked_once_in_a_while():
    reviews, clock = Reviews(), Clock()
    async with reviewing(reviews, clock) as taken:
        found = await asyncio.gather(*(taken.identity(RIGHT) for _ in range(50)))
        assert set(found) == {Identity("system:serviceaccount:ci:deploy", frozenset({"system:authenticated"}))}
        assert reviews.asked <= AT_ONCE
        asked = reviews.asked
        assert await taken.identity(WRONG) is None and await taken.identity(WRONG) is None
        assert reviews.asked == asked + 1
        clock.time += 61
        await taken.identity(RIGHT)
        assert reviews.asked == asked + 2


@pytest.mark.parametrize("audiences", [(), ("https://kubernetes.default.svc",)])
async def test_a_token_that_was_not_checked_for_our_audience_is_not_taken(audiences):
    async with reviewing(Reviews(audiences), Clock()) as taken:
        assert await taken.identity(RIGHT) is None


async def test_an_api_server_that_is_away_is_no_refusal():
    async with aiohttp.ClientSession() as session:
        with pytest.raises(Transient):
            await TokenReviews(KubeClient("http://127.0.0.1:9", session), Clock(), "tidegate").identity(RIGHT)


async def test_tokens_that_are_not_for_us_and_too_many_at_once_never_reach_the_api_server():
    reviews = Reviews()
    async with reviewing(reviews, Clock()) as taken:
        for foreign in ("opaque", token(aud="other"), token(aud=None), "x." * 20_000 + "y"):
            assert await taken.identity(foreign) is None
        assert reviews.asked == 0
        guesses = [token(sub=f"guess-{number}") for number in range(300)]
        found = await asyncio.gather(*map(taken.identity, guesses), return_exceptions=True)
        assert sum(isinstance(one, Waiting) for one in found) >= 300 - MOST_WAITING
        assert reviews.asked <= MOST_WAITING


async def test_a_proof_that_cannot_be_tried_now_keeps_nobody_out_whom_another_one_knows(tmp_path):
    anna = new_token()
    static = StaticTokens(tokens_file(tmp_path, {"user": "anna", "sha256": hashed(anna)}))
    proofs = Authenticators([Token(), static])  # the manager's own token is not known yet
    assert (await proofs.identity(anna)).user == "anna"
    with pytest.raises(Waiting):
        await proofs.identity("another")


async def test_an_address_counts_as_a_name_only_where_it_is_verified():
    taken, _, _ = oidc(user_claim="email")
    assert (await taken.identity(token(email="a@example.com", email_verified=True))).user == "a@example.com"
    with pytest.raises(Unidentified, match="not verified"):
        await taken.identity(token(email="a@example.com", email_verified=False))


@pytest.mark.parametrize("pieces", [1, 40])
async def test_keys_are_read_whole_however_they_arrive_and_never_from_where_a_redirect_leads(pieces):
    text = json.dumps({"keys": [{"kid": "x" * 1000}] * 40})

    async def keys(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        size = -(-len(text) // pieces)
        for start in range(0, len(text), size):
            await answer.write(text[start : start + size].encode())
            await asyncio.sleep(0.002)
        return answer

    async def elsewhere(_: web.Request) -> web.Response:
        raise web.HTTPFound("/keys")

    async def huge(_: web.Request) -> web.Response:
        return web.Response(body=b"[" * (2**20 + 1))

    app = web.Application()
    app.router.add_get("/keys", keys)
    app.router.add_get("/elsewhere", elsewhere)
    app.router.add_get("/huge", huge)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    root, fetch = f"http://127.0.0.1:{runner.addresses[0][1]}", fetcher(None)
    try:
        assert await fetch(f"{root}/keys") == json.loads(text)
        for wrong, words in (
            (f"{root}/elsewhere", "302"),
            (f"{root}/huge", "more than"),
            ("http://issuer.example.com", "https"),
        ):
            with pytest.raises(Transient, match=words):
                await fetch(wrong)
    finally:
        await runner.cleanup()
