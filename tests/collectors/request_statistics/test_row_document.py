"""Rows as other systems keep them."""

from dataclasses import replace

import orjson
from hypothesis import given
from hypothesis import strategies as st

from collectors.access_log.outcomes import OUTCOMES
from collectors.access_log.rows import LEVELS, RowKey, RowPlace, StatsRow
from collectors.request_statistics.row_document import row_document, row_id, row_of

names = st.sampled_from(["", "search", "ads", "ranker", "v1"])
figures = st.integers(0, 2**40)
rows = st.builds(
    StatsRow,
    st.builds(
        RowKey,
        st.builds(RowPlace, st.sampled_from(LEVELS), names, names, names, names, names),
        st.integers(0, 2**31).map(lambda second: second // 10 * 10),
        st.sampled_from(["inference-gw/gateway-0", "gw/1"]),
    ),
    st.integers(0, 9),
    st.tuples(*[figures] * len(OUTCOMES)),
    figures,
    figures,
    figures,
    st.dictionaries(st.integers(0, 600), st.integers(1, 2**30), max_size=5),
)


@given(rows)
def test_a_row_comes_back_from_its_document_as_it_was(row: StatsRow) -> None:
    assert row_of(orjson.loads(orjson.dumps(row_document(row)))) == row


@given(rows)
def test_a_row_without_an_arm_is_the_one_of_releases_that_knew_none(row: StatsRow) -> None:
    level, gateway, tenant, model, version, _ = row.key.place
    plain = replace(row, key=row.key._replace(place=row.key.place._replace(arm="")))
    assert row_id(plain.key) == f"{level}|{gateway}|{tenant}|{model}|{version}|{row.key.start}|{row.key.source}"
    old = {name: value for name, value in row_document(plain).items() if name != "arm"}
    assert row_of(old) == plain


@given(rows, rows)
def test_two_rows_have_one_identity_only_with_one_key(one: StatsRow, other: StatsRow) -> None:
    assert (row_id(one.key) == row_id(other.key)) == (one.key == other.key)
