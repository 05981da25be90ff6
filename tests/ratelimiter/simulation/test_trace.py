from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istio_templates.errors import Invalid
from ratelimiter.simulation.trace import NANOS, Trace, TraceRow, generated, read


def test_a_row_spreads_its_requests_evenly_until_the_next_and_the_last_lasts_as_long_as_the_one_before():
    trace = read("time,requests\n0,2\n4,4\n", "t.csv")
    assert [at / NANOS for at in trace.arrivals()] == [0, 2, 4, 5, 6, 7]
    assert trace.ends == 8


def test_a_single_row_lasts_a_second():
    assert [at / NANOS for at in read("time,requests\n10,4\n", "t.csv").arrivals()] == [10, 10.25, 10.5, 10.75]


def test_json_lines_say_the_same_as_csv():
    lines = '{"time": 0, "requests": 2}\n\n{"time": 4.5, "requests": 4, "more": "is ignored"}\n'
    assert read(lines, "t.jsonl") == read("requests, time,more\n2,0,x\n4,4.5,y\n", "t.csv")


@given(st.lists(st.integers(0, 50), min_size=1, max_size=20).filter(any))
def test_every_request_comes_once_in_order_and_within_the_trace(counts):
    trace = Trace(tuple(TraceRow(Fraction(number, 3), count) for number, count in enumerate(counts)))
    arrivals = list(trace.arrivals())
    assert len(arrivals) == sum(counts)
    assert arrivals == sorted(arrivals)
    assert all(0 <= at < trace.ends * NANOS for at in arrivals)


@pytest.mark.parametrize("shape", ["constant", "steps", "diurnal", "bursts"])
def test_a_generated_trace_stays_between_its_rate_and_its_peak(shape):
    trace = generated(shape, Fraction(5, 2), Fraction(10), 100)
    whole = sum(row.requests for row in trace.rows)
    assert len(trace.rows) == 100
    assert 249 <= whole <= 1000
    assert max(row.requests for row in trace.rows) <= 11


def test_constant_loses_no_fraction_of_a_request():
    assert sum(row.requests for row in generated("constant", Fraction(5, 2), Fraction(0), 100).rows) == 250


BROKEN = {
    "no requests column": ("time,count\n0,1\n", "requests: column is missing"),
    "no columns at all": ("", "time: column is missing"),
    "no rows": ("time,requests\n", "has no rows"),
    "time goes backwards": ("time,requests\n5,1\n3,1\n", "row 2: time 3 does not come after 5"),
    "time stands still": ("time,requests\n5,1\n5,1\n", "row 2: time 5 does not come after 5"),
    "half a request": ("time,requests\n0,1.5\n", "line 2: requests '1.5' is no whole number"),
    "less than none": ("time,requests\n0,-1\n", "line 2: requests '-1' is no whole number"),
    "not a number": ("time,requests\n0,many\n", "line 2: requests 'many' is no number"),
    "nan": ("time,requests\nnan,1\n", "line 2: time 'nan'"),
    "infinite": ("time,requests\ninf,1\n", "line 2: time 'inf'"),
    "absurd": ("time,requests\n0,1e300\n", "line 2: requests '1e300'"),
    "a short row": ("time,requests\n0\n", "line 2: requests is missing"),
    "nothing to try": ("time,requests\n0,0\n", "requests: are 0 in every row"),
    "broken JSON": ('{"time": 0, "requests": 1}\n{"time":', "line 2: is no JSON"),
    "JSON of another kind": ('{"time": 0, "requests": 1}\n[1]', "line 2: is no object"),
    "a truth value": ('{"time": 0, "requests": true}', "line 1: requests 'True' is no number"),
}


@pytest.mark.parametrize("text, said", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_trace_is_refused_with_the_place(text, said):
    with pytest.raises(Invalid) as refused:
        read(text, "t.csv")
    assert said in str(refused.value)
    assert "t.csv" in str(refused.value)
