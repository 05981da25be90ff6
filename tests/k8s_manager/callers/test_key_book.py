"""Keys of tokens: made once, rotated with overlap, kept in one Secret of which the World sees the public part."""

import base64
import json
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from istio_templates.documents.callers.token_lifetime import LONGEST, lifetime
from istio_templates.errors import Conflict, Stalled
from k8s_manager.callers.key_book import (
    MOST_KEYS,
    book_in,
    generated,
    rotated,
    secret_of,
    with_key,
    without_ended,
)
from k8s_manager.callers.token import issued
from k8s_manager.gather.caller_key_reader import public_keys

NOW = datetime(2026, 12, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def verified(token: str, secret, **options):
    """Return the claims of a token as a gateway reads it, by the public keys in the Secret."""
    kid = jwt.get_unverified_header(token)["kid"]
    (key,) = (one for one in public_keys(secret)["search"] if one.id == kid)
    return jwt.decode(token, jwt.PyJWK.from_json(key.jwk).key, ["ES256"], audience="search", **options)


def test_a_key_is_made_once_for_each_tenant():
    book = with_key({}, "search", generated)
    assert with_key(book, "search", generated) is book
    two = with_key(book, "ads", generated)
    assert two["search"] == book["search"] and two["ads"][0].id != two["search"][0].id


def test_a_token_says_who_calls_whose_models_until_when_and_the_public_key_verifies_it():
    book = with_key({}, "search", generated)
    token = issued(book["search"][0], "search", "app1", "t1", NOW, NOW + 90 * DAY)
    claims = verified(token.text, secret_of(book, None), options={"verify_exp": False, "verify_iat": False})
    assert claims == {
        "iss": "tidegate/search",
        "aud": "search",
        "sub": "app1",
        "jti": "t1",
        "iat": int(NOW.timestamp()),
        "exp": int((NOW + 90 * DAY).timestamp()),
    }
    assert token.text not in repr(token)


def test_a_rotation_keeps_the_old_key_until_the_last_of_its_tokens_is_over():
    first = with_key({}, "search", generated)
    second = rotated(first, "search", NOW, False, generated)
    new, old = second["search"]
    assert old.id == first["search"][0].id and not new.until
    last = NOW + LONGEST
    assert without_ended(second, frozenset({"search"}), last)["search"] == (new, old)
    assert without_ended(second, frozenset({"search"}), last + DAY)["search"] == (new,)
    third = rotated(second, "search", NOW + DAY, False, generated)
    assert [key.until for key in third["search"]][2] == old.until  # a later rotation does not make it longer
    assert len(rotated(third, "search", NOW, True, generated)["search"]) == 1


def test_rotations_have_an_end_that_says_what_to_do():
    book = {}
    for _ in range(MOST_KEYS):
        book = rotated(book, "search", NOW, False, generated)
    with pytest.raises(Conflict, match="rotate with now"):
        rotated(book, "search", NOW, False, generated)
    assert len(book["search"]) == MOST_KEYS


def test_keys_of_tenants_that_are_gone_go():
    book = with_key(with_key({}, "search", generated), "ads", generated)
    assert without_ended(book, frozenset({"ads"}), NOW).keys() == {"ads"}


def test_the_secret_holds_all_and_its_public_part_nothing_that_signs():
    book = rotated(with_key({}, "search", generated), "search", NOW, False, generated)
    secret = secret_of(book, None)
    assert book_in(secret) == book
    assert [key.id for key in public_keys(secret)["search"]] == [key.id for key in book["search"]]
    public = base64.b64decode(secret["data"]["public"]).decode()
    assert all(key.d not in public and key.d not in repr(key) for key in book["search"])


@pytest.mark.parametrize(
    "private",
    [
        "",
        "%%",
        base64.b64encode(b"[]").decode(),
        base64.b64encode(b'{"search": [{"id": "a"}]}').decode(),
        base64.b64encode(b'{"search": [{"id": "a", "d": "AQ", "x": "AQ", "y": "AQ", "until": ""}]}').decode(),
    ],
)
def test_a_secret_that_cannot_be_read_makes_no_new_keys(private):
    with pytest.raises(Stalled, match="restore it, or delete it") as found:
        book_in({"data": {"private": private}})
    assert found.value.__suppress_context__


@pytest.mark.parametrize("public", ["%%", "W10=", base64.b64encode(b'{"search": 1, "ads": [{"key": {}}]}').decode()])
def test_public_keys_that_cannot_be_read_verify_nothing(public):
    assert not any(public_keys({"data": {"public": public}}).values())


def test_a_private_key_in_the_public_part_is_left_out():
    key = {**with_key({}, "search", generated)["search"][0].public, "d": "AQ"}
    text = base64.b64encode(json.dumps({"search": [{"key": key, "until": ""}]}).encode()).decode()
    assert public_keys({"data": {"public": text}}) == {"search": ()}


@pytest.mark.parametrize(
    ("text", "seconds"), [("90d", 90 * 86_400), ("1m", 60), ("1d12h", 129_600), ("366d", 366 * 86_400)]
)
def test_a_lifetime_is_read(text, seconds):
    assert lifetime(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "90", "59s", "367d", "1w", "-1d", "1.5d", "9" * 60 + "d", "d", "90 d"])
def test_what_is_no_lifetime_is_refused(text):
    with pytest.raises(ValueError, match="is no lifetime"):
        lifetime(text)
