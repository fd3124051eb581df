"""What messages of schedulers, kubelets and API servers mean: the rows of cluster_messages.json."""

import re
from functools import cache
from typing import Literal, NamedTuple

import msgspec

from dynocheck.data import read_table
from dynocheck.data.text_rules import TextRule

# A part of a scheduler's message, such as "3 Insufficient nvidia.com/gpu"; not of what it says of preemption.
_PART = re.compile(r"(?:available: |, )(\d+) ((?:[^,.]|\.(?=\S))*)")
Topic = Literal["scheduling", "creation", "pull", "start", "node"]


class MessageRule(TextRule, frozen=True, kw_only=True):
    """A part of a message, what it means and what to do; `means` is empty where the message says it well.

    The groups of `pattern` are {0}, {1} in `means` and `fix`, where {namespace} and {pod} stand for those of
    the message.
    """

    topic: Topic


class Explanation(NamedTuple):
    """What a message means, empty where it says so itself, and what to do; None if it is not known."""

    means: str = ""
    fix: str | None = None


@cache
def load_message_rules() -> tuple[MessageRule, ...]:
    """Every rule, the most telling first: a message may hold several parts, and the first rule counts."""
    return msgspec.json.decode(read_table("cluster_messages.json"), type=tuple[MessageRule, ...])


def explain_scheduling(message: str, *, namespace: str) -> Explanation:
    """What is known of a scheduler's message: of the reason for which most nodes are out of the question."""
    parts = [(int(count), text) for count, text in _PART.findall(message)]
    most = max((count for count, _ in parts), default=0)
    foremost = " ".join(text for count, text in parts if count == most)
    found = explain_message("scheduling", foremost, namespace=namespace)
    return found if found.fix else explain_message("scheduling", message, namespace=namespace)


def explain_message(topic: Topic, message: str, *, namespace: str, pod: str = "") -> Explanation:
    """What is known of a message of this topic."""
    for rule in load_message_rules():
        if rule.topic == topic and (match := rule.expression.search(message)):
            names = match.groups()
            return Explanation(
                rule.means.format(*names), rule.fix.format(*names, namespace=namespace, pod=pod)
            )
    return Explanation()
