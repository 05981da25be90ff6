"""What the gateway pods of a slot ran last, written beside the slot and read back."""

import base64
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istio_templates.facts import Bucket, LimitKey, Manifest
from istio_templates.names import APPLIED
from k8s_manager.gather.limit_record import MOST_BYTES, applied_of, with_applied

FIGURE = st.integers(0, 2**32)
LIMITS = st.lists(
    st.tuples(st.builds(LimitKey, st.text(), st.text()), st.builds(Bucket, FIGURE, FIGURE, FIGURE, st.integers(0, 100)))
).map(tuple)


def slot(**annotations: str) -> Manifest:
    return {"kind": "EnvoyFilter", "metadata": {"name": "slot", "annotations": annotations}}


@given(LIMITS)
def test_reads_back_what_was_written(limits):
    assert applied_of(with_applied(slot(other="kept"), limits)) == limits


def test_keeps_other_annotations_and_writes_none_where_nothing_is_known():
    assert with_applied(slot(other="kept"), ())["metadata"]["annotations"]["other"] == "kept"
    assert with_applied(slot(other="kept"), None) == slot(other="kept")


def test_a_thousand_models_take_little_room():
    keys = [
        LimitKey(f"/apis/networking.istio.io/v1/namespaces/t{n % 20}/virtual-service/model-{n}") for n in range(1000)
    ]
    obj = with_applied(slot(), tuple((key, Bucket(40, 1, 4)) for key in keys))
    assert len(obj["metadata"]["annotations"][APPLIED]) < 20_000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not base64 at all!",
        base64.b64encode(b"not deflated").decode(),
        *(
            base64.b64encode(zlib.compress(raw)).decode()
            for raw in (b"{}x", b"[1]", b"[[]]", b'[["a","b","many",1,1,1]]')
        ),
        base64.b64encode(zlib.compress(b"[" + b" " * (4 * MOST_BYTES) + b"]")).decode(),
    ],
)
def test_what_others_wrote_there_is_taken_as_absent(text):
    assert applied_of(slot(**{APPLIED: text})) is None
