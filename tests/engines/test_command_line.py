"""Command lines are parsed as argparse parses them."""

import argparse
import contextlib
import io
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynocheck.data.flags import Flag, FlagTable, flag_tables, merged_flag_tables
from dynocheck.engines.arguments import ParsedFlags, parse_command_line
from dynocheck.engines.command_line import find_parsers
from dynocheck.engines.config_file import read_config_arguments
from dynocheck.facts import ConfigFile, Value
from dynocheck.recipe.yaml_loader import read_embedded
from tests.engines.launches import launch

# An option that takes a value by each of its spellings, and switches.
VALUED = {
    "tensor-parallel-size": ["--tensor-parallel-size", "-tp"],
    "model": ["--model", "--model-path"],
    "chat-template": ["--chat-template"],
}
SWITCHES = ["enable-expert-parallel", "headless"]
FLAGS = [
    *(Flag(tuple(spelled)) for spelled in VALUED.values()),
    *(Flag((f"--{name}",), "negatable") for name in SWITCHES),
]
NAMES = [(name, flag) for flag in FLAGS for name in flag.names]
NEGATED = [(f"--no-{name}", flag) for name, flag in zip(SWITCHES, FLAGS[-2:], strict=True)]
TABLE = FlagTable("own", "", dict([*NAMES, *NEGATED]), {}, {})


def parse(*texts: str | None) -> ParsedFlags:
    return parse_command_line(launch("dynamo.own", texts), "deploy.yaml", (TABLE,), {})


def parse_vllm(*texts: str | None) -> ParsedFlags:
    return parse_command_line(
        launch("dynamo.vllm", texts), "f", merged_flag_tables("dynamo.vllm"), {}, flexible=True
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


def ours(texts: Sequence[str | None]) -> dict[str, Any]:
    return {name: argument.value for name, argument in parse(*texts).arguments.items()}


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
        ["--chat-template", '{"a": "-b"}'],
    ],
)
def test_a_line_is_read_as_argparse_reads_it(line: list[str]) -> None:
    expected = theirs(line)
    assert expected is not None
    assert parse(*line).complete
    assert ours(line) == expected


_text = st.sampled_from(["8", "-1", "-.5", "a b", "-a b", "", "x=y", "{}", "-", "a-b", "1_0"])
_tensor = ["--tensor-parallel-size", "-tp", "--tensor-parallel", "--tensor"]
_spelled = st.sampled_from([*_tensor, "--model", "--model-path", "--model-p", "--chat-template"])
_expert = ["--enable-expert-parallel", "--enable-expert", "--no-enable-expert-parallel"]
_switch = st.sampled_from(["--headless", "--no-headless", *_expert])
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
    found = parse("--model", "m", "-tp", "8").arguments
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
        (["--t", "8"], {"tensor-parallel-size": "8"}, True),
        (["--config=x"], {}, True),  # read as a file by no engine
        (["--model", "m", "--", None], {"model": "m"}, True),
    ],
)
def test_a_word_that_is_not_known_may_hold_more(
    texts: list[str | None], found: dict[str, Any], complete: bool
) -> None:
    line = parse(*texts)
    assert {name: argument.value for name, argument in line.arguments.items()} == found
    assert line.complete is complete
    assert all(argument.known is (argument.value is not None) for argument in line.arguments.values())


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
    assert parse("--model", text).arguments["model"].integer == integer


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
    assert parse_vllm(*texts).arguments["kv-transfer-config"].entries == entries


@pytest.mark.parametrize(
    ("image", "caching"), [("vllm-runtime:1.3.0", None), ("vllm-runtime:1.6.1", False), ("own:1", False)]
)
def test_false_in_a_vllm_file_negates_by_release(image: str, caching: bool | None) -> None:
    text = "model: m\ntensor_parallel_size: 4\nenforce-eager: true\nenable-prefix-caching: false\n"
    text += (
        "served-model-name: [a, b]\nhf-overrides: {a: 1}\nseed: null\nno-such-flag: false\nlora-modules: []\n"
    )
    config = ConfigFile("/c.yaml", "c.yaml", read_embedded(Value(text, 1, 1), ["x"]))
    engine = find_parsers("dynamo.vllm", image)[-1]
    parsed = read_config_arguments("dynamo.vllm", config, engine, {})
    assert parsed is not None
    values = {name: argument.value for name, argument in parsed.arguments.items()}
    assert values.pop("enable-prefix-caching", None) is caching
    assert values == {
        "model": "m",
        "tensor-parallel-size": "4",
        "enforce-eager": True,
        "served-model-name": "a",
        "hf-overrides": '{"a": 1}',
        "seed": "None",
    }


def test_a_file_without_a_mapping_has_no_arguments() -> None:
    engine = flag_tables("dynamo.vllm", "1.3.0")[-1]
    assert read_config_arguments("dynamo.vllm", None, engine, {}) is None
    assert read_config_arguments("dynamo.vllm", ConfigFile("/c", "c", Value([], 1, 1)), engine, {}) is None


def test_a_short_flag_may_contain_its_value() -> None:
    nodes = parse_vllm("-n2").arguments["nnodes"]
    assert nodes.integer == 2


def test_the_table_names_options_that_have_several_spellings() -> None:
    share = parse_vllm("--device-memory-utilization", "0.5").arguments
    assert share["gpu-memory-utilization"].value == "0.5"
