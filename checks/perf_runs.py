"""Whether a benchmark ends, measures with a known tool, and keeps what it measured."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dynocheck import Finding, Location, Skip, check, fail, warn
from dynocheck.facts import Recipes
from dynocheck.facts.pods import PodTemplate, templates
from dynocheck.facts.recipe import Benchmark, Recipe, Value, Word

_TOOLS = ("aiperf", "genai-perf", "guidellm", "inference-perf")
_OUTPUT = ("--artifact-dir", "--output-artifact-dir", "--artifact-directory", "--output-dir", "--result-dir")
_CARRIERS = {"aws", "az", "azcopy", "gsutil", "gcloud", "rclone", "s5cmd", "mc", "kubectl", "scp", "rsync"}
_PINNED = re.compile(r"===?|@")
_REPOSITORY = re.compile(r"git\+[^@\s]+?(?<!git)@(?P<rev>[^#\s]+)|git\+ssh://[^@]+@[^@]+@(?P<ssh>[^#\s]+)")
_WAIT = re.compile(
    r"\b(?:until|while)\b(?P<test>[^\n]*\b(?:curl|wget|nc|kubectl)\b.*?)\bdo\b(?P<body>.*?)\bdone\b", re.S
)
_ENDS = re.compile(r"\b(exit|break|return|timeout)\b")
_DEADLINE = "activeDeadlineSeconds"
# What a pod may set for itself without privileges:
# https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/#safe-and-unsafe-sysctls
_SAFE_SYSCTLS = (
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
)


class _Run(NamedTuple):
    """A benchmark, the pod it runs in and the container that runs it, as they are written."""

    benchmark: Benchmark
    template: PodTemplate
    container: Value

    @property
    def place(self) -> Location:
        return Location(self.benchmark.file, self.benchmark.line, self.benchmark.column)


def _runs(recipes: Recipes) -> list[_Run]:
    found = [run for recipe in recipes for run in _of_recipe(recipe)]
    if not found:
        raise Skip("no benchmark")
    return found


def _of_recipe(recipe: Recipe) -> Iterator[_Run]:
    containers = {
        (template.manifest.file, container.line, container.column): (template, container)
        for template in templates(recipe)
        for container in template.containers
    }
    for benchmark in recipe.benchmarks:
        found = containers.get((benchmark.file, benchmark.line, benchmark.column))
        if found is not None:
            yield _Run(benchmark, *found)


def _scripts(container: Value) -> Iterator[Value]:
    for key in ("command", "args"):
        found = container.get(key)
        yield from (element for element in (found.sequence if found else ()) if element.text)


@check("perf.bounded", title="Every benchmark gives up when nothing answers")
def bounded(recipes: Recipes) -> Iterator[Finding]:
    """A benchmark that waits for the model without an end holds its node, its claim and the pipeline behind
    it for ever when the model never comes, and says nothing.

    A deadline ends it (`activeDeadlineSeconds` of the Job or its pod), as does a wait that counts its
    attempts. Loops of a shell around curl, wget, nc or kubectl are judged.

    Fix: spec: {activeDeadlineSeconds: 7200}
    """
    for run in _runs(recipes):
        holders = (run.template.spec, run.template.manifest.root.get("spec"))
        if any(holder is not None and holder.get(_DEADLINE) is not None for holder in holders):
            continue
        endless = any(_waits(element.text or "") for element in _scripts(run.container))
        if endless:
            yield warn(
                f"{run.benchmark.name} waits for its service without an end, and has no {_DEADLINE}",
                fix=f"add {_DEADLINE}: 7200 to the {run.template.manifest.kind}'s spec",
                location=_asking(run),
            )


def _asking(run: _Run) -> Location:
    """Where it first asks for something over the network, or else where its container stands."""
    for command in run.benchmark.commands:
        if command and (command[0].text or "").rpartition("/")[2] in ("curl", "wget", "nc", "kubectl"):
            return Location(run.benchmark.file, command[0].line, command[0].column)
    return run.place


def _waits(script: str) -> bool:
    """Whether a loop waits for something over the network with nothing to end it."""
    for loop in _WAIT.finditer(script):
        before = script[script.rfind("\n", 0, loop.start()) + 1 : loop.start()]
        counted = re.search(r"-(lt|le|gt|ge)\b|\(\(", loop["test"])
        if not counted and not _ENDS.search(loop["body"]) and "timeout" not in before:
            return True
    return False


@check("perf.tool-pinned", title="Every benchmark installs a fixed release of its tool")
def tool_pinned(recipes: Recipes) -> Iterator[Finding]:
    """Load generators change defaults and metrics between releases: numbers of two versions do not compare,
    and next month's may not start.

    `pip install` and `uv pip install` of a load generator are judged, and of a Git repository without a
    revision.

    Fix: pip install aiperf==0.10.0
    """
    for run in _runs(recipes):
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
    if "git+" in requirement:
        return _REPOSITORY.search(requirement) is None
    name = re.split(r"[\[<>=!~;@ ]", requirement, maxsplit=1)[0].lower().replace("_", "-")
    return name in _TOOLS and not _PINNED.search(requirement)


@check("perf.artifacts", title="Every benchmark keeps what it measured")
def artifacts(recipes: Recipes) -> Iterator[Finding]:
    """What is written to the container's own disk, or to an emptyDir, is gone with its pod: an hour of load
    leaves a few lines of log.

    The folder counts that the tool is told, or else the one that a variable named like it gives. One that
    only the running container could tell is not judged, nor a container that copies files elsewhere.

    Fix: write to a folder on a mounted claim (--artifact-dir)
    """
    judged = False
    for run in _runs(recipes):
        folder = _folder(run)
        if folder is None or _carried(run):
            continue
        judged = True
        container = run.benchmark.container
        mount = container.mount_of(folder) if folder.startswith("/") else None
        if mount is not None and mount.read_only:
            yield fail(
                f"{run.benchmark.name} writes to {folder}, which is mounted read-only",
                fix="mount the claim without readOnly",
                location=run.place,
            )
        elif mount is None or mount.source == "empty":
            yield warn(
                f"{run.benchmark.name} writes its results to {folder}, which is gone with its pod",
                fix="write to a folder on a mounted claim",
                evidence={"mounts": sorted(each.path for each in container.mounts)},
                location=run.place,
            )
    if not judged:
        raise Skip("where the benchmarks write is known only when they run")


def _folder(run: _Run) -> str | None:
    """Where a benchmark writes, None when that is not known."""
    runs = [command for command in run.benchmark.commands if command and _is_tool(command[0].text)]
    told = [word for command in runs for word in _values(command)]
    if told and all(word is not None for word in told):
        known = [word for word in told if word is not None]
        return next((each for each in known if not each.startswith("/")), known[0])
    named = next(
        (v for v in run.benchmark.container.env if "ARTIFACT" in v.name and (v.value or "").startswith("/")),
        None,
    )
    return named.value if named else None


def _is_tool(text: str | None) -> bool:
    return (text or "").rpartition("/")[2] in _TOOLS


def _values(command: Sequence[Word]) -> Iterator[str | None]:
    """The folders that a command is told; None for one that cannot be known."""
    for i, word in enumerate(command):
        name, equals, value = (word.text or "").partition("=")
        if name in _OUTPUT:
            yield value if equals else command[i + 1].text if i + 1 < len(command) else None


def _carried(run: _Run) -> bool:
    """Whether something in its script takes files elsewhere."""
    programs = {(command[0].text or "").rpartition("/")[2] for command in run.benchmark.commands if command}
    return bool(programs & _CARRIERS)


@check("perf.privileged", title="No benchmark is privileged for what a pod may set itself")
def privileged(recipes: Recipes) -> Iterator[Finding]:
    """A privileged container may do anything to its node, and clusters with a pod security level refuse it.
    Benchmarks ask for it to widen the range of local ports, which is a safe sysctl: a pod may set it for
    itself. Judged are those that call sysctl, with safe ones alone and outside of the host's network.

    Fix: spec: {securityContext: {sysctls: [{name: net.ipv4.ip_local_port_range, value: "1024 65000"}]}}
    """
    for run in _runs(recipes):
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
        if names and names <= set(_SAFE_SYSCTLS) and run.template.spec.get("hostNetwork") is None:
            yield warn(
                f"{run.benchmark.name} is privileged, seemingly to set {', '.join(sorted(names))}, "
                "which a pod may set for itself",
                fix="drop privileged, and list it under sysctls of the pod's securityContext",
                location=Location(run.benchmark.file, flag.line, flag.column),
            )
