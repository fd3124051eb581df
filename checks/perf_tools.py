"""What a benchmark runs with: the release of its tool, and the rights of its container."""

import re
from collections.abc import Iterator, Sequence

from dynocheck import Finding, Location, check, warn
from dynocheck.checks.perf_runs import TOOLS, runs
from dynocheck.facts import Recipes
from dynocheck.facts.recipe import Word

_PINNED = re.compile(r"===?|@")
# What a pod may set for itself without privileges:
# https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/#safe-and-unsafe-sysctls
_SAFE_SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}


@check("perf.tool-pinned", title="Every benchmark installs a fixed release of its tool")
def tool_pinned(recipes: Recipes) -> Iterator[Finding]:
    """Load generators change defaults and metrics between releases: numbers of two versions do not compare,
    and next month's may not start.

    `pip install` and `uv pip install` of a load generator are judged, and of a Git repository without a
    revision.

    Fix: pip install aiperf==0.10.0
    """
    for run in runs(recipes):
        for word in (word for command in run.benchmark.commands for word in _installed(command)):
            text = word.text or ""
            if _floats(text):
                yield warn(
                    f"{run.benchmark.name} installs {text}, whatever release that is by then",
                    fix=f"install {text.split('>')[0].split('<')[0].split('~')[0]}==RELEASE"
                    if not text.startswith("git+")
                    else f"install {text}@REVISION",
                    location=Location(run.benchmark.file, word.line, word.column),
                )


def _installed(command: Sequence[Word]) -> Iterator[Word]:
    """The requirements that a command installs."""
    texts = [word.text for word in command]
    if "install" not in texts or not any(
        (text or "").rpartition("/")[2].rstrip("0123456789.") in ("pip", "uv") for text in texts
    ):
        return
    takes = False
    for word in command[texts.index("install") + 1 :]:
        text = word.text or ""
        if not takes and text and not text.startswith("-"):
            yield word
        takes = text in (
            "-r",
            "--requirement",
            "-c",
            "--constraint",
            "-i",
            "--index-url",
            "--extra-index-url",
        )


def _floats(requirement: str) -> bool:
    """Whether another day may install another release of it."""
    _, git, repository = requirement.partition("git+")
    if git:
        path = repository.partition("#")[0].partition("://")[2].partition("/")[2]
        return "@" not in path
    name = re.split(r"[\[<>=!~;@ ]", requirement, maxsplit=1)[0].lower().replace("_", "-")
    return name in TOOLS and not _PINNED.search(requirement)


@check("perf.privileged", title="No benchmark is privileged for what a pod may set itself")
def privileged(recipes: Recipes) -> Iterator[Finding]:
    """A privileged container may do anything to its node, and clusters with a pod security level refuse it.
    Benchmarks ask for it to widen the range of local ports, which is a safe sysctl: a pod may set it for
    itself. Judged are those that call sysctl, with safe ones alone and outside of the host's network.

    Fix: spec: {securityContext: {sysctls: [{name: net.ipv4.ip_local_port_range, value: "1024 65000"}]}}
    """
    for run in runs(recipes):
        flag = run.container.get("securityContext", "privileged")
        if flag is None or flag.data is not True:
            continue
        settings = [
            word.text
            for command in run.benchmark.commands
            if command and (command[0].text or "").rpartition("/")[2] == "sysctl"
            for word in command[1:]
            if word.text and not word.text.startswith("-")
        ]
        names = {text.partition("=")[0] for text in settings}
        if names and names <= _SAFE_SYSCTLS and run.template.spec.get("hostNetwork") is None:
            yield warn(
                f"{run.benchmark.name} is privileged, seemingly to set {', '.join(sorted(names))}, "
                "which a pod may set for itself",
                fix="drop privileged, and list it under sysctls of the pod's securityContext",
                location=Location(run.benchmark.file, flag.line, flag.column),
            )
