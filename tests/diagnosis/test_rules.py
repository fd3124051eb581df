"""Each rule of logs and messages knows its example, and no rule before it takes that away."""

import pytest

from dynocheck.data.cluster_messages import (
    MessageRule,
    explain_message,
    explain_scheduling,
    load_message_rules,
)
from dynocheck.data.log_rules import LogRule, find_cause, find_last_words, load_log_rules, match_line


@pytest.mark.parametrize("rule", load_log_rules(), ids=lambda rule: rule.id)
def test_a_line_is_known_by_its_rule(rule: LogRule) -> None:
    match = match_line(rule.example)
    assert match is not None
    assert match.rule.id == rule.id


@pytest.mark.parametrize("rule", load_message_rules(), ids=lambda rule: f"{rule.topic}-{rule.pattern[:30]}")
def test_a_message_is_known_by_its_rule(rule: MessageRule) -> None:
    found = explain_message(rule.topic, rule.example, namespace="models", pod="w-1")
    match = rule.expression.search(rule.example)
    assert match is not None
    assert found.means == rule.means.format(*match.groups())
    assert found.fix == rule.fix.format(*match.groups(), namespace="models", pod="w-1")


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (
            "0/4 nodes are available: 1 Insufficient nvidia.com/gpu, 3 node(s) had untolerated taint(s).",
            "taint",
        ),
        (
            "0/4 nodes are available: 3 Insufficient nvidia.com/gpu, 1 node(s) had untolerated taint(s).",
            "/gpu",
        ),
        (
            "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s).",
            "request of cpu",
        ),
        ('0/2 nodes are available: persistentvolumeclaim "a" not found. preemption: 0/2', "create a"),
        ("0/3 nodes are available: 3 node unregistered.", None),
    ],
)
def test_the_reason_of_most_nodes_counts(message: str, says: str | None) -> None:
    fix = explain_scheduling(message, namespace="models").fix
    assert (says is None and fix is None) or (says is not None and says in (fix or ""))


def test_the_first_cause_counts() -> None:
    lines = [
        "INFO loading weights",
        "RuntimeError: Engine core initialization failed. See root cause above.",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
        "OSError: [Errno 98] Address already in use",
    ]
    found = find_cause(lines)
    assert found is not None
    assert found.rule.id == "cuda.memory"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["Traceback:", '  File "a.py", line 1, in f', "ValueError: no", "bye"], "ValueError: no"),
        (["ERROR 05-06 01:55:26 [core.py:383] KeyError: 'x'", "INFO over"], "KeyError: 'x'"),
        (["(Worker pid=7) [TP0] a.b.OddError: odd", "    raise KeyError"], "a.b.OddError: odd"),
        (["KeyError: 'x'", "RuntimeError: Engine core initialization failed."], "KeyError: 'x'"),
        (["INFO one", "INFO two"], "INFO two"),
        (
            ["a.ValidationError: 1 validation error for VllmConfig", "  Value error, no such thing [x]"],
            "a.ValidationError: 1 validation error for VllmConfig: Value error, no such thing [x]",
        ),
        ([], ""),
    ],
)
def test_the_last_words(lines: list[str], words: str) -> None:
    assert find_last_words(lines) == words


def test_a_warning_is_no_cause_beside_an_error() -> None:
    lines = ["WARNING 11-29 NIXL is not available", "ValueError: No available memory for the cache blocks."]
    found = find_cause(lines)
    assert found is not None
    assert found.rule.id == "vllm.no-kv-memory"


def test_an_error_that_is_tried_again_is_no_cause_beside_a_later_one() -> None:
    lines = ["ERROR CUDA out of memory, retry with less", "INFO ready", "ValueError: no chat template"]
    assert find_cause(lines) is None


def test_an_error_that_is_tried_again_is_the_cause_if_nothing_else_is() -> None:
    found = find_cause(["WARNING Failed to connect to NATS, retrying", "INFO retry 9 of 9"])
    assert found is not None
    assert found.rule.id == "dynamo.nats"


def test_what_is_said_in_passing_is_no_cause() -> None:
    lines = ["ImportError: no flash attention, using another", *["INFO step"] * 30, "KeyError: 'x'"]
    assert find_cause(lines) is None


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (
            [
                "thread 'worker' panicked at lib/llm/src/x.rs:120:18:",
                "missing field `model`",
                "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
            ],
            "missing field `model`",
        ),
        (["panic: assignment to entry in nil map", "goroutine 1 [running]:", "exit status 2"], "nil map"),
        (
            [
                "terminate called after throwing an instance of 'std::runtime_error'",
                "what():  no device",
                "Aborted",
            ],
            "no device",
        ),
        (["INFO this never panics", "INFO ready"], "ready"),
    ],
    ids=["Rust", "Go", "C++", "none"],
)
def test_a_panic_is_the_last_word(lines: list[str], says: str) -> None:
    assert says in find_last_words(lines, ended=True)
