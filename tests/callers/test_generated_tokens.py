"""Ten thousand tokens, made by chance: a gateway takes those that are good, and no other."""

import asyncio
import base64
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.callers.rig import GUEST, MODELS, OWN, SEARCH, plan_of_all
from tests.support.callers import NOW, CheckedGateway, bearer, checked_gateway

TOKENS = 10_000
AT_ONCE = 16
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ ~"
STRANGER = ec.generate_private_key(ec.SECP256R1())
CLAIMS: dict[str, list[Any]] = {
    "iss": [SEARCH.issuer] * 8 + ["tidegate/ads", "tidegate/search/", "", None, 7, ["tidegate/search"]],
    "aud": ["search"] * 6 + [["search"], ["ads", "search"], "ads", "Search", "", None, [], ["ads"]],
    "sub": ["app1"] * 8 + ["app2", "app3", "app4", "ghost", "", None, "app1,app1", " app1", 1, True, {"a": "app1"}],
    "exp": [NOW + 3600] * 8 + [NOW - 3600, NOW - 600, 0, None, NOW + 10**9],
    "nbf": [None] * 8 + [NOW - 60, NOW + 3600, 0],
    "jti": ["id-1"] * 6 + ["bad-id", None, "", "bad-id ", "id,2", 5],
}


def is_good(claims: dict[str, Any]) -> bool:
    """Tell whether a signed token gives a right to the model, by what the documents say of issuer and callers."""
    audiences = claims.get("aud") if isinstance(claims.get("aud"), list) else [claims.get("aud")]
    return (
        claims.get("iss") == SEARCH.issuer
        and "search" in audiences
        and claims.get("sub") == "app1"
        and isinstance(claims.get("exp"), int)
        and claims["exp"] > NOW
        and (claims.get("nbf") or 0) <= NOW
        and isinstance(claims.get("jti", ""), str)
        and claims.get("jti") != "bad-id"
        and "," not in claims.get("jti", "")
    )


def drawn(chance: random.Random) -> tuple[str, bool]:
    """Return a token of claims made by chance, and whether it is good."""
    claims = {name: value for name, found in CLAIMS.items() if (value := chance.choice(found)) is not None}
    key, kid, algorithm = chance.choice([(SEARCH.key, "k1", "ES256")] * 8 + [(STRANGER, "k1", "ES256")])
    own = key is SEARCH.key
    head = {"kid": kid} if chance.random() < 0.9 else {}
    text = json.dumps(claims).encode()
    token = jwt.api_jws.encode(text, key, algorithm=algorithm, headers=head)
    return token, own and is_good(claims)


def mutated(chance: random.Random, good: str) -> tuple[str, bool]:
    """Return a good token in which something was changed. Spaces around it change nothing; a signature of the same
    bytes in other letters is the same one (the last letter has bits to spare), and is not asked for."""
    token = good
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(token))
        letter, way = chance.choice(LETTERS), chance.randrange(4)
        token = [
            token[:at] + letter + token[at + 1 :],
            token[:at] + token[at + 1 :],
            token[:at] + letter + token[at:],
            token[:at] + token[at:][::-1],
        ][way]
    return (good, True) if signs_alike(token.strip(), good) else (token, False)


def signs_alike(token: str, other: str) -> bool:
    """Tell whether two tokens say and sign the same, however the signature is written."""
    (*said, signature), (*other_said, other_signature) = token.split("."), other.split(".")
    return said == other_said and bytes_of(signature) == bytes_of(other_signature)


def bytes_of(text: str) -> bytes | None:
    """Return what base64url says, read as leniently as can be; None where it says nothing."""
    try:
        return base64.urlsafe_b64decode(text.rstrip("=") + "==")
    except ValueError:
        return None


def swapped(chance: random.Random) -> tuple[str, bool]:
    """Return a token made of parts of two good ones, of two issuers or of two callers."""
    one = SEARCH.token(jti=f"id-{chance.random()}").split(".")
    other = chance.choice([SEARCH.token(sub="app2"), SEARCH.token(jti="bad-id"), GUEST.token()]).split(".")
    mixed = [chance.choice(pair) for pair in zip(one, other, strict=True)]
    return ".".join(mixed), mixed[1:] == one[1:]


def tokens(chance: random.Random) -> Iterator[tuple[str, bool]]:
    """Yield tokens, and whether each is good."""
    good = SEARCH.token()
    for number in range(TOKENS):
        way = number % 5
        yield drawn(chance) if way < 2 else swapped(chance) if way == 2 else mutated(chance, good)


@pytest.mark.xdist_group("envoy")
async def test_of_ten_thousand_tokens_none_is_wrongly_taken(tmp_path: Path):
    chance = random.Random(20261130)
    wrong: list[tuple[str, bool, int]] = []
    taken = [0, 0]
    async with checked_gateway(tmp_path, *MODELS) as found:
        await found.load(plan_of_all())
        waiting = tokens(chance)

        async def work() -> None:
            for token, good in waiting:
                status = await status_of(found, token)
                taken[good] += 1
                if (status == 200) is not good:
                    wrong.append((token, good, status))

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        assert wrong == []
        assert sum(taken) == TOKENS and min(taken) > TOKENS / 20
        assert found.models.reached == {OWN.model: taken[True]}


async def status_of(found: CheckedGateway, token: str) -> int:
    return (await found.ask(OWN.host, OWN.path, bearer(token))).status
