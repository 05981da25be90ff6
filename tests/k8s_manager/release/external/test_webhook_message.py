"""What receivers get and can verify, and what their answers are taken for."""

import base64
import hashlib
import hmac
import json
from dataclasses import replace

import pytest

from istio_templates.errors import Stalled, Transient
from k8s_manager.admission.pod_template.formats import dns_label
from k8s_manager.release.external.check_step import CheckStep
from k8s_manager.release.external.webhook_message import answer_reading, message_body, signed_headers, signing_key
from k8s_manager.release.release_target import ModelPlace

STEP = CheckStep(ModelPlace("search", "ranker"), "search", "v1", "v2", 2, 4, 25, 1_767_225_600.25)
KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_the_signature_is_that_of_standard_webhooks():
    """The example of the specification's libraries."""
    key = signing_key(KEY + "\n")
    found = signed_headers(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert found["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_receiver_can_verify_what_it_gets():
    body = message_body(STEP, "gate")
    headers = signed_headers(signing_key(KEY), STEP.id("gate"), 1_767_225_700, body)
    signed = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
    digest = hmac.new(base64.b64decode(KEY[6:]), signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    assert json.loads(body) == {
        "id": headers["webhook-id"],
        "check": "gate",
        "tenant": "search",
        "model": "search/ranker",
        "stable": "v1",
        "version": "v2",
        "step": 2,
        "steps": 4,
        "weight": 25,
        "since": "2026-01-01T00:00:00.250Z",
    }


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_c2hvcnQ=", "no base64 at all!", "A" * 200])
def test_a_file_without_a_key_is_said_with_how_to_make_one(text):
    with pytest.raises(Stalled, match="openssl rand"):
        signing_key(text)


@pytest.mark.parametrize(
    ("raw", "outcome", "sentence"),
    [
        (b'{"result": "passed"}', "passed", "passed"),
        (b'{"result": "failed", "message": "too slow"}', "failed", "failed: too slow"),
        (b'{"result": "pending", "message": "", "more": [1]}', "pending", "pending"),
        (b'{"result": "failed", "message": "a\\u0000b\\n\\u202ec"}', "failed", "failed: a b c"),
    ],
)
def test_answers(raw, outcome, sentence):
    found = answer_reading("gate.example.com", raw, 7.0)
    assert (found.outcome, found.sentence, found.at) == (outcome, sentence, 7.0)


def test_a_long_message_is_cut():
    raw = json.dumps({"result": "failed", "message": "x" * 10_000}).encode()
    assert len(answer_reading("gate", raw, 0.0).sentence) < 250


@pytest.mark.parametrize(
    "raw",
    [b"", b"passed", b"\xff\xfe", b"null", b"[]", b'"passed"', b"{}", b'{"result": null}', b'{"result": true}',
     b'{"result": ["passed"]}', b'{"result": {}}', b'{"result": "PASSED"}', b'{"result": "passed", "message": 3}',
     b'{"result": "passed", "message": null}', b"[" * 5_000],
)  # fmt: skip
def test_what_is_no_answer_is_asked_again(raw):
    with pytest.raises(Transient, match=r"gate.example.com answers"):
        answer_reading("gate.example.com", raw, 0.0)


def test_the_identity_of_a_check_is_that_of_its_step_alone():
    assert STEP.id("gate") == replace(STEP, weight=26, steps=9).id("gate")
    others = [replace(STEP, step=3), replace(STEP, since=STEP.since + 1), replace(STEP, version="v3")]
    assert len({STEP.id("gate"), STEP.id("other"), *(one.id("gate") for one in others)}) == 5


@pytest.mark.parametrize("check", ["load", "Load_Test", "a" * 63, "x-"])
def test_the_name_of_a_job_is_a_name_of_kubernetes(check):
    long = CheckStep(ModelPlace("search", "m" * 45), "search", "v1", "v2", 1, 2, 5, 0.0)
    for step in (STEP, long):
        assert dns_label(step.job_name(check)) is None and len(step.job_name(check)) <= 50
