"""Pods that are broken on the node, and the recordings of them."""

import json
import re

import pytest

from tests.node.breakage import KINDS, Kind
from tests.node.node import Node
from tests.node.recordings import FOLDER, break_on, shows

_SAMPLE = ("image-missing", "config-key-missing", "gpu-missing", "quota")  # what breaks in a second or two


def test_the_kinds_break_on_the_node(node: Node) -> None:
    break_on(node, [kind for kind in KINDS if kind.name in _SAMPLE])


@pytest.mark.verify
def test_every_kind_breaks_on_the_node(node: Node) -> None:
    break_on(node, [kind for kind in KINDS if kind.name not in _SAMPLE])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_kind_is_recorded(kind: Kind) -> None:
    text = (FOLDER / f"{kind.name}.json").read_text()
    assert shows(json.loads(text), kind)
    assert not re.search(r"dynocheck-servers|/tmp/|/root/", text)
