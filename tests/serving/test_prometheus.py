"""Metrics as Prometheus' text format has them."""

import math

from hypothesis import given
from hypothesis import strategies as st

from dynocheck.serving.prometheus import parse

TEXT = """# HELP requests Requests.
# TYPE requests counter
requests{model="a",phase="prefill"} 3
requests{model="a",phase="decode"} 4 1700000000000
requests{model="b, \\"quoted\\" {x}\\n",phase="decode",} 1e2
up 1
late{le="+Inf"} +Inf
odd NaN
"""


def test_samples_have_names_labels_and_values() -> None:
    found = parse(TEXT)
    assert found.names == {"requests", "up", "late", "odd"}
    assert found.total("requests") == 107
    assert found.total("requests", phase="decode") == 104
    assert [s.labels["model"] for s in found.select("requests", model='b, "quoted" {x}\n')] != []
    assert found.total("up") == 1
    assert next(found.select("late")).value == math.inf


def test_what_is_not_there_counts_nothing() -> None:
    found = parse(TEXT)
    assert (found.total("nothing"), found.has("nothing"), found.has("up")) == (0, False, True)


def test_lines_that_are_none_are_passed_over() -> None:
    assert parse("<html>no metrics</html>\nrequests{ 3\n{} 1\nup one\n up 2\nup 3\r\n").names <= {"up"}


@given(st.text())
def test_nothing_breaks_it(text: str) -> None:
    parse(text)
