"""Runs `dynocheck smoke` as its users do."""

from pathlib import Path
from typing import Any

from tests.command import CommandResult, dynocheck

# Skips on every server that has none of it.
NEVER = {
    *("endpoint.adapters", "endpoint.discovered", "endpoint.replicas", "endpoint.rolled-out"),
    *("endpoint.structured", "endpoint.tool-call", "load.limits"),
}


def smoke(url: str, *more: str | Path, **environment: str) -> CommandResult:
    return dynocheck("smoke", "--url", url, "-o", "json", *more, env=environment)


def skipped(ended: CommandResult) -> set[str]:
    return {check for check, outcome in ended.outcomes.items() if outcome == "skip"} - NEVER


def bad(ended: CommandResult) -> dict[str, str]:
    """What neither passed nor was skipped."""
    return {check: outcome for check, outcome in ended.outcomes.items() if outcome not in ("pass", "skip")}


def failure(ended: CommandResult) -> tuple[str, dict[str, Any]]:
    """The one check that failed, and its first finding; the others are fine or could not look."""
    (failed,) = [check for check, outcome in ended.outcomes.items() if outcome == "fail"]
    return failed, ended.findings(failed)[0]
