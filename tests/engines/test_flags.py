"""Command lines as argparse reads them, against argparse itself."""

from __future__ import annotations

import argparse
import contextlib
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynocheck.engines.flags import FlagSpellings, expand_config, parse_command_line
from dynocheck.facts.recipe.recipes import Value
from dynocheck.recipe.yaml_loader import read_embedded
from tests.engines.launches import words

# An option that takes a value by each of its spellings, and switches.
VALUED = {
    "tensor-parallel-size": ["--tensor-parallel-size", "-tp"],
    "model": ["--model", "--model-path"],
    "config": ["--config"],
}
SWITCHES = ["enable-expert-parallel", "headless"]
SPELLINGS = FlagSpellings(
    {spelled: name for name, all_ in VALUED.items() for spelled in all_}
    | {f"--{name}": name for name in SWITCHES}
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(add_help=False)
    for name, spelled in VALUED.items():
        made.add_argument(*spelled, dest=name)
    for name in SWITCHES:
        made.add_argument(f"--{name}", dest=name, action=argparse.BooleanOptionalAction)
    return made


def theirs(texts: list[str]) -> dict[str, Any] | None:
    """What argparse reads, or None when it exits."""
    with contextlib.redirect_stderr(io.StringIO()), contextlib.suppress(SystemExit):
        return {name: value for name, value in vars(parser().parse_args(texts)).items() if value is not None}
    return None


def ours(texts: list[str | None]) -> dict[str, Any]:
    return {
        name: argument.value
        for name, argument in parse_command_line(words(*texts), "f", SPELLINGS).found.items()
    }


@pytest.mark.parametrize(
    "line",
    [
        [],
        ["--model", "m"],
        ["--model=m"],
        ["--model="],
        ["--model=a=b"],
        ["--model", ""],
        ["--model", "a", "--model", "b"],
        ["--model-path", "m"],
        ["-tp", "8"],
        ["-tp=8"],
        ["-tp", "8", "--tensor-parallel-size", "4"],
        ["--tensor-parallel-size", "-1"],
        ["--tensor-parallel-size", "-.5"],
        ["--tensor-parallel-size=-1"],
        ["--model", "a b"],
        ["--model", "-a b"],
        ["--model", "--a b"],
        ["--model=-x"],
        ["--model", "-"],
        ["--headless"],
        ["--no-headless"],
        ["--headless", "--no-headless"],
        ["--enable-expert-parallel", "--model", "m"],
        ["--tensor-parallel", "8"],
        ["--tensor", "8"],
        ["--tensor-parallel-s=8"],
        ["--enable-exp"],
        ["--no-enable-expert"],
        ["--conf", "x"],
        ["--config", '{"a": "-b"}'],
    ],
)
def test_a_line_is_read_as_argparse_reads_it(line: list[str]) -> None:
    expected = theirs(line)
    assert expected is not None
    found = parse_command_line(words(*line), "f", SPELLINGS)
    if found.complete:
        assert {name: argument.value for name, argument in found.found.items()} == expected
    else:
        assert line[0].startswith("--conf")  # shorter than a first word: it could be another option of theirs


_text = st.sampled_from(["8", "-1", "-.5", "a b", "-a b", "", "x=y", "{}", "-", "a-b", "1_0"])
_spelled = st.sampled_from(
    [
        "--tensor-parallel-size",
        "-tp",
        "--tensor-parallel",
        "--tensor",
        "--model",
        "--model-path",
        "--model-p",
        "--config",
    ]
)
_switch = st.sampled_from(
    [
        "--headless",
        "--no-headless",
        "--enable-expert-parallel",
        "--enable-expert",
        "--no-enable-expert-parallel",
    ]
)
_option = st.one_of(
    st.tuples(_spelled, _text).map(list),
    st.tuples(_spelled, _text).map(lambda pair: [f"{pair[0]}={pair[1]}"]),
    _switch.map(lambda switch: [switch]),
)


@settings(deadline=None, max_examples=300)
@given(st.lists(_option, max_size=6), st.booleans())
def test_any_line_that_argparse_takes_is_read_the_same(options: list[list[str]], ends: bool) -> None:
    line = [word for option in options for word in option]
    expected = theirs(line)
    if expected is not None:
        assert ours([*line, *(["--", "--model", "no"] if ends else [])]) == expected


def test_what_follows_two_dashes_is_no_flag() -> None:
    assert ours(["--model", "m", "--", "--model", "other"]) == {"model": "m"}


def test_an_option_that_matters_to_nobody_keeps_its_name() -> None:
    assert ours(["--max-num-seqs", "8", "--no-other", "--x=1"]) == {
        "max-num-seqs": "8",
        "other": False,
        "x": "1",
    }


def test_an_argument_has_the_place_of_its_flag() -> None:
    found = parse_command_line(words("--model", "m", "-tp", "8"), "deploy.yaml", SPELLINGS).found
    assert [(a.file, a.line, a.column) for a in found.values()] == [
        ("deploy.yaml", 1, 1),
        ("deploy.yaml", 1, 3),
    ]


@pytest.mark.parametrize(
    ("texts", "found", "complete"),
    [
        (["--model", None], {"model": None}, True),
        (["--model", "m", None], {"model": "m"}, False),
        ([None, "--model", "m"], {"model": "m"}, False),
        (["--model=m", None], {"model": "m"}, False),
        (["--enable-prefix-caching", None], {"enable-prefix-caching": True}, False),
        (["--trust-remote-code", None, "--model", "m"], {"trust-remote-code": True, "model": "m"}, False),
        (["--t", "8"], {}, False),
        (["--model", "m", "--", None], {"model": "m"}, True),
    ],
)
def test_a_word_that_is_not_known_may_hold_more(
    texts: list[str | None], found: dict[str, Any], complete: bool
) -> None:
    line = parse_command_line(words(*texts), "f", SPELLINGS)
    assert {name: argument.value for name, argument in line.found.items()} == found
    assert line.complete is complete
    assert all(argument.known is (argument.value is not None) for argument in line.found.values())


@pytest.mark.parametrize(
    ("text", "integer"),
    [
        ("8", 8),
        ("+8", 8),
        (" 8 ", 8),
        ("1_0", 10),
        ("-1", -1),
        ("8.0", None),
        ("eight", None),
        ("", None),
        ("0x8", None),
        ("9" * 30, None),
    ],
)
def test_a_number_is_what_python_s_int_takes(text: str, integer: int | None) -> None:
    assert parse_command_line(words("--model", text), "f", SPELLINGS).found["model"].integer == integer


DOTTED = FlagSpellings({"--kv-transfer-config": "kv-transfer-config"}, underscores=True, dotted=True)


@pytest.mark.parametrize(
    ("texts", "entries"),
    [
        (
            ["--kv-transfer-config", '{"kv_connector": "NixlConnector", "n": 1}'],
            {"kv_connector": "NixlConnector", "n": 1},
        ),
        (['--kv_transfer_config={"a": [1, {"b": null}]}'], {"a": [1, {"b": None}]}),
        (
            ["--kv-transfer-config.kv_connector", "Nixl", "--kv_transfer_config.extra.n=2"],
            {"kv_connector": "Nixl", "extra": {"n": 2}},
        ),
        (['--kv-transfer-config={"a": 1}', "--kv-transfer-config.b=true"], {"b": True}),
        (["--kv-transfer-config.a", "1", "--kv-transfer-config.a.b", "2"], {"a": {"b": 2}}),
        (["--kv-transfer-config", "not JSON"], None),
        (["--kv-transfer-config", "[1]"], None),
        (["--kv-transfer-config"], None),
        (["--kv-transfer-config", None], None),
    ],
)
def test_an_argument_may_be_json_in_one_piece_or_in_several(
    texts: list[str | None], entries: dict[str, Any] | None
) -> None:
    assert parse_command_line(words(*texts), "f", DOTTED).found["kv-transfer-config"].entries == entries


def test_the_keys_of_a_file_are_options() -> None:
    text = "model: m\ntensor_parallel_size: 4\nheadless: true\nenable-eplb: false\n"
    text += "names: [a, b]\nconf: {a: 1}\nnone: null\n"
    made = expand_config(read_embedded(Value(text, 1, 1), ["x"]))
    assert made is not None
    assert [word.text for word in made] == [
        *("--model", "m", "--tensor_parallel_size", "4", "--headless", "--no-enable-eplb"),
        *("--names", "a", "b", "--conf", '{"a": 1}', "--none", "None"),
    ]
    assert expand_config(None) is None
    assert expand_config(Value([], 1, 1)) is None
