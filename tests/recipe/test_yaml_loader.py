"""The YAML loader against kubectl's, and the positions of its values."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from dynocheck.facts import Problem, Recipe, Value
from dynocheck.recipe.discover import load_recipes
from dynocheck.recipe.yaml_loader import MAX_DEPTH, MAX_OBJECTS, MAX_VALUES, read_documents, read_embedded
from tests.recipe.conftest import Kubectl
from tests.recipe.scripts import split_cases

HEAD = "apiVersion: test/v1\nkind: Test\nmetadata: {name: test}\nspec:"
RECIPES = sorted(Path(__file__).parents[2].glob("recipes/**/*.yaml"))

_SCALARS = r"""
y Y yes Yes YES yEs n N no No NO on On ON oN off Off OFF true True TRUE tRUE false null Null NULL nULL ~
0 -0 +0 00 7 +1 -1 0o17 0O17 017 018 08 0777 -0777 +017 0x1F 0X1f -0x1F 0b101 0B101 -0b11 0o8 0x 0b 0b2 0o
1_000 1__0 1_ _1 0_7 0x_1 .5_0 .0_ .5__0 ._5 -.5_0_ 1_0.5 1._5 1e2_0 1,000 1e3 1E3 1e+3 1e-3 1e400
-1e400 1e-400 1e 1e+ e3 1.e3 .5e3 .e3
.5 5. -.5 +.5 . .. + 1.0 1.10 0.0 -0.0 1.5.2 09.5 07.5 0o1.5 1e20 1e21 100000000000000000000.0 1f 1d 1L
9223372036854775807 9223372036854775808 -9223372036854775808 -9223372036854775809 18446744073709551615
18446744073709551616 123456789012345678901234567890 0xFFFFFFFFFFFFFFFF 0xFFFFFFFFFFFFFFFFF 9007199254740993
0b11111111111111111111111111111111111111111111111111111111111111111 9223372036854774784.0
inf nan Infinity -inf .iNF 0x1p4 2024-01-01 2024-01-01T00:00:00Z 1:20 190:20:30 1.5:20 = a#c a:b 10.0.0.1
'1' "1" 'y' "null" '' "" 'it''s' "a\tb" "\u00e9\x41" é 😀
"""
SCALARS = _SCALARS.split()
SPACED = split_cases(
    '!!str 1 ¦ !!str null ¦ !!int "1" ¦ !!int 0x1F ¦ !!int \'1_0\' ¦ !!float 1 ¦ !!float "1.5" ¦ '
    "!!bool yes ¦ !!bool \"no\" ¦ !!null '' ¦ !!null ¦ !!str ¦ !!binary aGk= ¦ !!binary /wA= ¦ "
    "!!timestamp 2024-01-01 ¦ ! 1 ¦ ! y ¦ !own 1 ¦ !<tag:yaml.org,2002:str> 1 ¦ !!map {a: 1} ¦ !!seq [1] ¦ "
    "!!set {a, b} ¦ !own [1] ¦  ¦ # only a comment ¦ a # a comment ¦ a b ¦ a\n  b ¦ 'a\n\n  b' ¦ "
    '"a\\\n  b" ¦ \ta ¦ &x 1 ¦ !!merge << ¦ |\n  a\n  b ¦ |-\n  a\n ¦ |+\n  a\n\n ¦ |2\n    a ¦ '
    ">\n  a\n  b\n\n  c ¦ |  # why\n  a ¦ 'a\u2028b' ¦ [] ¦ {} ¦ [a, ] ¦ [a: 1] ¦ {a} ¦ {a: } ¦ "
    "[a b, 'c d'] ¦ [[1, [2]], {a: {b: }}] ¦ \n- a\n-\n- b ¦ {1: a} ¦ {1.5: a} ¦ {1e3: a} ¦ {0x10: a} ¦ "
    "{yes: a} ¦ {'': a} ¦ {-1: a} ¦ {? a : b} ¦ {a: 1, a: 2} ¦ {a: 1, <<: {a: 2, b: 3}} ¦ "
    "{<<: {a: 2}, a: 1} ¦ {<<: [{a: 1}, {a: 2, b: 3}]} ¦ {'<<': {a: 1}} ¦ {<<: {a: 1}, <<: {a: 2, c: 3}} ¦ "
    '{<<: {<<: {a: 1}, b: 2}} ¦ {!!merge <<: {a: 1}} ¦ {"<<": 1} ¦ {x: &a 1, z: *a} ¦ '
    "{x: &a {k: 1, l: 2}, z: {<<: *a, l: 3}} ¦ {x: &a 1, x2: &a 2, z: *a} ¦ {&a k: 1, *a : 2}"
)
REFUSED = split_cases(
    ".inf ¦ -.inf ¦ +.INF ¦ .nan ¦ .NaN ¦ !!int 1.5 ¦ !!int 1e3 ¦ !!int x ¦ !!float x ¦ !!bool 1 ¦ "
    '!!null x ¦ !!binary \'%%\' ¦ "\\/" ¦ "\\q" ¦ "\\ud83d" ¦ @a ¦ `a` ¦ %a ¦ *none ¦ [a ¦ {a ¦ \'a ¦ "a ¦ '
    "{null: a} ¦ {~: a} ¦ {[1]: a} ¦ {{a: 1}: b} ¦ {<<: 1} ¦ {<<: [1]} ¦ {<<: } ¦ &a [*a] ¦ a: b ¦ - a ¦ "
    "\n\t- a ¦ |\n\ta ¦ 'a' b ¦ a\x07b ¦ ] ¦ \n  a: 1\n b: 2 ¦ !!str [ ¦ \n  a: 1\n  b"
)


def same(left: Any, right: Any) -> bool:
    """Equal as JSON: 1 and 1.0 are one number, true and 1 are not one thing."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    numbers = all(isinstance(side, int | float) and not isinstance(side, bool) for side in (left, right))
    if numbers and float in (type(left), type(right)):
        return float(left) == float(right)
    return type(left) is type(right) and bool(left == right)


def read(text: str) -> tuple[list[Any], list[Problem]]:
    """What the documents of a text hold, and the problems."""
    problems: list[Problem] = []
    return [document.plain for document in read_documents(text, problems)], problems


def fatal(text: str) -> Problem:
    return next(problem for problem in read(text)[1] if problem.fatal)


def embedded(value: Value, lines: list[str]) -> Value:
    found = read_embedded(value, lines)
    assert found is not None
    return found


def listed(read_by_kubectl: list[Any] | str) -> list[Any]:
    assert isinstance(read_by_kubectl, list), read_by_kubectl
    return read_by_kubectl


def test_plain_scalars_match_kubectl(kubectl: Kubectl) -> None:
    text = HEAD + "".join(f"\n  s{i}: {scalar}" for i, scalar in enumerate(SCALARS)) + "\n"
    (theirs,) = listed(kubectl(text))
    (ours,), problems = read(text)
    assert problems == []
    names = {f"s{i}": scalar for i, scalar in enumerate(SCALARS)}
    assert [s for name, s in names.items() if not same(ours["spec"][name], theirs["spec"][name])] == []


def test_values_match_kubectl(kubectl: Kubectl) -> None:
    text = "\n---\n".join(f"{HEAD} {written}" for written in SPACED)
    ours, problems = read(text)
    assert not any(problem.fatal for problem in problems)
    pairs = zip(SPACED, ours, listed(kubectl(text)), strict=True)
    assert [written for written, o, t in pairs if not same(o.get("spec"), t.get("spec"))] == []


@pytest.mark.parametrize("written", REFUSED)
def test_values_that_kubectl_rejects_are_errors(kubectl: Kubectl, written: str) -> None:
    text = f"{HEAD} {written}\n"
    assert "error converting YAML to JSON" in kubectl(text)
    assert fatal(text).line is not None


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: 1\nb:\n  replicas: [1\nc: 2\nd: {x: 1}\n", (3, 13)),
        ("a:\n  - x: {y: 1\n    z: 3\n", (2, 8)),
        ("a: [1, 2\n", (1, 4)),
        ("a: 'x\nb: 1\n", (1, 4)),
        ("{a: 1\n b: 2}\n", (2, 3)),
        ("a: [\n  1\n  2: 3: 4\n]\n", (3, 4)),
        ("a: 1\nb:\u00a02\nc: 3\n", (2, 3)),
    ],
)
def test_broken_text_is_reported_where_it_is_broken(text: str, place: tuple[int, int]) -> None:
    found = fatal(text)
    assert (found.line, found.column) == place


A, B = (f"apiVersion: test/v1\nkind: Test\nmetadata: {{name: {name}}}\n" for name in "ab")
FILES = {
    "two": A + "---\n" + B,
    "a separator first": "---\n" + A + "---\n" + B,
    "empty documents": "---\n---\n" + A + "---\n# none\n---\n" + B + "---\n",
    "a comment behind a separator": "# hi\n--- # first\n" + A + "---   \n" + B,
    "an end of document": A + "...\n---\n" + B,
    "a byte order mark": "\ufeff" + A,
    "files joined together": A + "---\n\ufeff" + B,
    "Windows lines": (A + "---\n" + B).replace("\n", "\r\n"),
    "old Mac lines": A.replace("\n", "\r"),
    "no end of line": A.rstrip("\n"),
    "a separator in a text": A + "data: |\n ---\n b\n---\n" + B,
    "tabs between": "apiVersion:\ttest/v1\nkind: Test\t# why\nmetadata: {name: a}\n",
    "JSON": '{\n\t"apiVersion": "test/v1",\n\t"kind": "Test",\n\t"metadata": {"name": "a"},"u": "\\/"}',
    "objects of JSON": '{"apiVersion": "test/v1", "kind": "Test", "metadata": {"name": "a}{"}}\n'
    '  {"apiVersion": "test/v1",\n "kind": "Test"}{"apiVersion": "test/v1", "kind": "Test"}\n',
    "JSON and a separator": '{"apiVersion": "a/v1", "kind": "A"}\n---\n{"kind": "A", "apiVersion": "v1"}',
    "a long key": A + "? " + "x" * 2000 + "\n: 1\n",
}


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_documents_of_a_file_match_kubectl(kubectl: Kubectl, text: str) -> None:
    ours, problems = read(text)
    assert problems == []
    assert same([labelled(document) for document in ours], listed(kubectl(text)))


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_other_encodings_match_kubectl(
    kubectl: Kubectl, written: Callable[..., Recipe], encoding: str
) -> None:
    content = (A + "data: {x: 'é'}  # ü\n").encode(encoding)
    written(A)
    Path("deploy.yaml").write_bytes(content)
    (file,) = load_recipes(["deploy.yaml"])[0].files
    assert [labelled(document.plain) for document in file.documents] == kubectl(content)


def test_concatenated_json_objects_have_their_positions() -> None:
    problems: list[Problem] = []
    first, second, third = read_documents('{"a": 1} {"b":\n 2}\n{"c": 3}', problems)
    assert problems == []
    assert [(root.line, root.column) for root in (first, second, third)] == [(1, 1), (1, 10), (3, 1)]
    assert [value.line for root in (first, second, third) for value in root.mapping.values()] == [1, 2, 3]
    assert fatal('{"a": 1}\n{"b": [}\n').line == 2


def test_many_json_objects_are_read_quickly() -> None:
    started = time.process_time()
    assert len(read_documents('{"a": 1}' * MAX_OBJECTS, [])) == MAX_OBJECTS
    assert len(read_documents('{"a": 1}' * 500_000, [])) == 1
    assert time.process_time() - started < 20


def labelled(document: Any) -> Any:
    """A document with the label that the kubectl of these tests puts on it."""
    metadata = document.get("metadata", {})
    if metadata is None:
        return document
    return {**document, "metadata": {**metadata, "labels": {**(metadata.get("labels") or {}), "read": "yes"}}}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (A + "--- {apiVersion: test/v1, kind: Test, metadata: {name: b}}\n", 4),
        ("--- {apiVersion: test/v1, kind: Test, metadata: {name: b}}\n", 1),
        (A + "----\n" + B, 4),
        ("%YAML 1.1\n---\n" + A, 1),
        ("%TAG ! tag:x,2000:\n---\n" + A, 1),
        (A + " ---\n", 4),
        (A + "---\nx: [\n", 6),
        (A + "x: 'abc\n\n", 4),
        ("a: &m {name: a}\n---\nb: *m\n", 3),
        ("apiVersion: test/v1\n\t\nkind: Test\n", 2),
        ("a: 1\nb: \x00\n", 2),
        ("é: ü\nb: \x07\n", 2),
    ],
)
def test_files_that_kubectl_rejects_are_errors_at_their_line(kubectl: Kubectl, text: str, line: int) -> None:
    assert isinstance(kubectl(text), str)
    assert fatal(text).line == line


def test_the_documents_before_a_broken_one_are_kept() -> None:
    documents, problems = read("a: 1\n---\nb: [\n---\nc: 3\n")
    assert documents == [{"a": 1}]
    assert [(problem.line, problem.fatal) for problem in problems] == [(4, True)]


def test_duplicate_keys_are_reported() -> None:
    documents, problems = read("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\na: 2\n")
    assert documents == [{"a": 2, "b": {"c": 3, "d": 2}}]
    assert [(p.line, p.column, p.fatal) for p in problems] == [(5, 3, False), (6, 1, False)]
    assert problems[0].message == 'key "c" is also on line 3'


def test_overriding_a_merged_key_is_not_a_duplicate() -> None:
    assert read("base: &b {a: 1}\nown:\n  <<: *b\n  a: 2\n") == ([{"base": {"a": 1}, "own": {"a": 2}}], [])


PLACES = """\
top: scalar
block:
  nested:
    deep: value
  list:
  - first
  -   key: in item
      other: 2
  - - inner
flow: {a: 1, b: [x, yy]}
text: |
  line one
quoted:    "far"
base: &anchor
  shared: 1
alias: *anchor
merged:
  <<: *anchor
  own: 2
é: ü
"""


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (["top"], (1, 6)),
        (["block"], (2, 1)),  # a block is where its key is
        (["block", "nested"], (3, 3)),
        (["block", "nested", "deep"], (4, 11)),
        (["block", "list"], (5, 3)),
        (["block", "list", 0], (6, 5)),
        (["block", "list", 1], (7, 7)),
        (["block", "list", 1, "key"], (7, 12)),
        (["block", "list", 1, "other"], (8, 14)),
        (["block", "list", 2, 0], (9, 7)),
        (["flow"], (10, 7)),
        (["flow", "b"], (10, 17)),
        (["flow", "b", 1], (10, 21)),
        (["text"], (11, 7)),
        (["quoted"], (13, 12)),
        (["base", "shared"], (15, 11)),
        (["alias"], (14, 1)),  # what an alias stands for is where that is written
        (["merged", "shared"], (15, 11)),
        (["merged", "own"], (19, 8)),
        (["é"], (20, 4)),
    ],
)
def test_every_value_has_its_position(path: list[str | int], place: tuple[int, int]) -> None:
    (value,) = read_documents(PLACES, [])
    for step in path:
        value = value.sequence[step] if isinstance(step, int) else value.mapping[step]
    assert (value.line, value.column) == place


def test_embedded_yaml_has_positions_and_matches_python() -> None:
    text = 'data:\n  a.yaml: |\n\n    size: 4\n    kv:\n      dtype: fp8\n    n: 1e3\n    w: y\n  b: "x: 1"\n'
    (root,) = read_documents(text, [])
    block, quoted = root.get("data", "a.yaml"), root.get("data", "b")
    assert block is not None
    assert quoted is not None
    inner = embedded(block, text.splitlines())
    assert inner.plain == yaml.safe_load(block.text or "")
    size, dtype = inner.get("size"), inner.get("kv", "dtype")
    assert size is not None
    assert dtype is not None
    assert (size.line, size.column, dtype.line, dtype.column) == (4, 11, 6, 14)
    single = embedded(quoted, text.splitlines())
    assert (single.plain, single.line, single.column) == ({"x": 1}, 9, 6)


@pytest.mark.parametrize("header", ["|", "|-", "|+", "|2", "|  # why", "&a |", "!!str |"])
def test_positions_in_a_literal_block(header: str) -> None:
    text = f"a:\n  b: {header}\n    k: 1\n    l: [2, 3]\n"
    (root,) = read_documents(text, [])
    block = root.get("a", "b")
    assert block is not None
    last = embedded(block, text.splitlines()).mapping["l"].sequence[1]
    assert (last.line, last.column) == (4, 12)


@pytest.mark.parametrize("text", ["", "a: [", "a: 1\n---\nb: 2\n", "# none", "a: *b"])
def test_invalid_embedded_yaml(text: str) -> None:
    assert read_embedded(Value(text, 1, 1), ["a"]) is None


def test_embedded_scalars_match_python() -> None:
    text = "a: y\nb: 0o17\nc: 1:20\nd: 1e3\ne: 1_0\nf: on\nh: .inf\ni: !!str 1\nk: 010\n"
    others = "g: 2024-01-01\nj: ! x\nown: {a: 1, <<: {a: 2, b: 3}}\n"
    expected = yaml.safe_load(text) | {"g": "2024-01-01", "j": "x", "own": {"a": 1, "b": 3}}
    assert embedded(Value(text + others, 1, 1), ["x"]).plain == expected


@pytest.mark.parametrize("nest", ["[", "{", "{a: ", "- ", "? "])
def test_deep_nesting_is_limited(nest: str) -> None:
    found = fatal(nest * 100_000)
    assert str(MAX_DEPTH) in found.message
    assert (found.line, found.column) == (1, MAX_DEPTH * len(nest) + 1)


def test_alias_bombs_are_errors() -> None:
    levels = "".join(f"a{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 10)}]\n" for i in range(12))
    started = time.process_time()
    assert str(MAX_VALUES) in fatal("a0: &a0 x\n" + levels).message
    merges = "".join(f"a{i + 1}: &a{i + 1} {{x{i}: *a{i}, y{i}: *a{i}}}\n" for i in range(40))
    assert str(MAX_VALUES) in fatal("a0: &a0 {x: 1}\n" + merges).message
    many = f"a: &a [{'x, ' * 10}]\nb: &b [{'*a, ' * 7}]\nc: [{'*b, ' * 5}]\n---\n"
    assert str(MAX_VALUES) in fatal(many * 2000).message
    assert time.process_time() - started < 5


@pytest.mark.parametrize("text", ["", "\n\n", "# only\n# comments\n", "---\n---\n", "\ufeff", "null\n"])
def test_empty_files_have_no_documents(text: str) -> None:
    assert read(text) == ([], [])


@settings(deadline=2000, suppress_health_check=list(HealthCheck))
@given(st.text() | st.text("-:{}[]&*!|>%@`'\"#,?\n\t ab<~.0", max_size=80))
def test_any_text_is_read_or_rejected(text: str) -> None:
    problems: list[Problem] = []
    for document in read_documents(text, problems):
        json.dumps(document.plain, allow_nan=False)
        assert 1 <= document.line <= text.count("\n") + text.count("\r") + 3
    for problem in problems:
        assert problem.message
        assert "\n" not in problem.message or not problem.fatal
    read_embedded(Value(text, 1, 1), text.splitlines())


_text = st.text(st.characters(max_codepoint=0xD7FF))
_key = _text.filter(lambda key: len(json.dumps(key)) < 1000)  # YAML takes none of more than 1,024 characters
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_key, inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(_json)
def test_json_reads_back_equal(value: Any) -> None:
    (document,), problems = read(json.dumps({"value": value}))
    assert not problems
    assert same(document, {"value": value})


@settings(deadline=None)
@given(_json)
def test_embedded_yaml_reads_back_equal(value: Any) -> None:
    text = yaml.safe_dump({"value": value}, allow_unicode=True)
    assume(same(yaml.safe_load(text), {"value": value}))  # it writes some characters that nobody reads back
    assert same(embedded(Value(text, 1, 1), ["text"]).plain, {"value": value})


def _agrees(kubectl: Kubectl, text: str) -> None:
    theirs = kubectl(text)
    documents, problems = read(text)
    broken = any(problem.fatal for problem in problems)
    if isinstance(theirs, str):
        unreadable = "error converting YAML to JSON" in theirs or "invalid Yaml document separator" in theirs
        assert broken or not unreadable, (theirs, problems)
    else:
        assert not broken, problems
        assert same([labelled(document) for document in documents], theirs)


ADDED = ["", " ", "  ", "\n", "\t", " #", "&a ", "<<: ", "!!int ", "? ", "*a", *"-:'\"|{}[]#%,1~"]


@st.composite
def _spoilt(draw: st.DrawFn) -> str:
    """A manifest of ours with a few characters added, taken away or moved."""
    text = draw(st.sampled_from(RECIPES)).read_text()
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        cut = draw(st.integers(0, 3))
        added = draw(st.sampled_from(ADDED))
        text = text[:at] + added + text[at + cut :]
    return text


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(_spoilt())
def test_damaged_manifests_match_kubectl(kubectl: Kubectl, text: str) -> None:
    _agrees(kubectl, text)


@pytest.mark.verify
@settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
@given(_spoilt())
def test_many_damaged_manifests_match_kubectl(kubectl: Kubectl, text: str) -> None:
    _agrees(kubectl, text)


_number_like = st.text("0123456789_+-.eExXoObBfFaAnNiI", min_size=1, max_size=8).filter(
    lambda s: s.strip("-") != ""
)


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(_number_like, min_size=200, max_size=200))
def test_numbers_match_kubectl(kubectl: Kubectl, scalars: list[str]) -> None:
    scalars = [s for s in scalars if s.lower().strip("+-") not in (".inf", ".nan")]
    _agrees(kubectl, HEAD + "".join(f"\n  s{i}: {scalar}" for i, scalar in enumerate(scalars)) + "\n")
