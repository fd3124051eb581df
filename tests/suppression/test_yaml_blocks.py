"""Blocks of YAML by indentation."""

import pytest

from dynocheck.suppression.yaml_blocks import is_block_changed

TEXT = """\
# a file
apiVersion: v1
spec:
  components:
  - name: a
    args:
      - one

# in between
      - two
  - name: b
    args: []
status: {}
---
kind: Job
spec: {}
"""


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        (2, range(2, 14)),  # the first of a document: all of it
        (3, range(3, 13)),
        (5, range(5, 11)),
        (6, range(6, 11)),
        (7, range(7, 10)),
        (11, range(11, 13)),
        (13, range(13, 14)),
        (15, range(15, 17)),
        (16, range(16, 17)),
        (99, range(99, 100)),
    ],
)
def test_a_block_is_the_deeper_indented_lines(line: int, meant: range) -> None:
    changed = range(1, 120)
    assert [n for n in changed if is_block_changed(TEXT.splitlines(), line, {n})] == list(meant)
