"""The options that all judging verbs share."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class CommonOptions:
    """The options that all judging verbs share. `timeout_s` is in seconds per probe.

    `baseline` and `write_baseline` are files; `diff` is a git revision.
    """

    outputs: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    strict: bool = False
    detail: Literal["quiet", "normal", "verbose"] = "normal"
    config: str | None = None
    checks_dirs: tuple[str, ...] = ()
    no_plugins: bool = False
    trust_config: bool = False
    isolated: bool = False
    timeout_s: float = 10.0
    snapshot: str | None = None
    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None
    baseline: str | None = None
    write_baseline: str | None = None
    diff: str | None = None
