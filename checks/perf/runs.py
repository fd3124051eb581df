"""Checks that benchmarks end, pin their tool and store their results."""

import posixpath
import re
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise, takewhile
from typing import NamedTuple

from dynocheck import Finding, Location, Result, Skip, check, fail, judged, unjudged, warn
from dynocheck.core.fixes import replace_words, set_value
from dynocheck.facts import (
    Benchmark,
    Container,
    PodTemplate,
    Recipe,
    Recipes,
    Value,
    Word,
    index_containers,
    list_pod_templates,
)

_TOOLS = ("aiperf", "genai-perf", "guidellm", "inference-perf")
_PINNED = re.compile(r"===?|@")
_OUTPUT = ("--artifact-dir", "--output-artifact-dir", "--artifact-directory", "--output-dir", "--result-dir")
_CARRIERS = {"aws", "az", "azcopy", "gsutil", "gcloud", "rclone", "s5cmd", "mc", "kubectl", "scp", "rsync"}
_WAIT = re.compile(
    r"\b(?:until|while)\b(?P<test>[^\n]{0,200}\b(?:curl|wget|nc|kubectl)\b.{0,1000}?)"
    r"\bdo\b(?P<body>.{0,2000}?)\bdone\b",
    re.S,
)
_MAX_SCRIPT = 32 * 1024
_ENDS = re.compile(r"\b(exit|break|return|timeout)\b")
_PYTHON_LOOPS = ("while True:", "while 1:")
_PYTHON_REQUEST = re.compile(r"\burlopen\(|\b(?:requests|httpx2?|aiohttp|socket|http\.client)\.")
_PYTHON_ENDS = re.compile(
    r"\b(raise|return|exit|_exit|monotonic|perf_counter|deadline|abort)\b|\btime\.time\(|\+="
)
_SLEEPER = re.compile(r"\bsleep\s+(?:infinity|inf)\b|\btail\s+-f\s+/dev/null\b")
# The last command of a script, outside of a branch.
_LAST_SLEEP = re.compile(
    r"(?:\A|[\n;&] {0,9}|\bexec |-l?c )(?:sleep (?:infinity|inf)|tail -f /dev/null)[\s;]{0,9}\Z"
)
_DEADLINE = "activeDeadlineSeconds"


class _BenchmarkRun(NamedTuple):
    """A benchmark, with its pod and container in the manifest."""

    benchmark: Benchmark
    template: PodTemplate
    container: Value

    @property
    def place(self) -> Location:
        return Location(self.benchmark.file, self.benchmark.line, self.benchmark.column)


def _find_runs(recipes: Recipes) -> list[_BenchmarkRun]:
    found = [run for recipe in recipes for run in _find_recipe_runs(recipe)]
    if not found:
        raise Skip("no benchmark")
    return found


def _find_recipe_runs(recipe: Recipe) -> Iterator[_BenchmarkRun]:
    containers = index_containers(recipe)
    for benchmark in recipe.benchmarks:
        found = containers.get((benchmark.file, benchmark.line, benchmark.column))
        if found is not None:
            yield _BenchmarkRun(benchmark, *found)


def _list_scripts(container: Value) -> Iterator[Value]:
    for key in ("command", "args"):
        yield from (element for element in container.get_items(key) if element.text)


@check("perf.bounded", title="Benchmarks and Jobs come to an end")
def bounded(recipes: Recipes) -> Iterator[Finding]:
    """A benchmark that waits for a model without a timeout blocks its node, its claim and its pipeline for
    ever if the model never starts. So does any other Job, and one whose script ends with `sleep infinity`
    is never complete.

    A deadline (`activeDeadlineSeconds` of the Job or its pod) ends the wait, as does a loop that counts its
    attempts. Judged are shell loops around curl, wget, nc or kubectl, and `while True` of Python around a
    request. A pod without a Job that sleeps after its run never completes, and keeps what it requested; so
    does one that a README waits for until it has succeeded. Jobs that start a server may run on.

    Fix: spec: {activeDeadlineSeconds: 7200}
    """
    runs = [run for recipe in recipes for run in _find_recipe_runs(recipe)]
    measured = {(run.benchmark.file, run.benchmark.line, run.benchmark.column) for run in runs}
    others = [each for recipe in recipes for each in _find_others(recipe, measured)]
    if not runs and not others:
        raise Skip("no benchmark and no Job")
    for run in runs:
        if _has_deadline(run.template):
            continue
        if any(_waits_forever(element.text or "") for element in _list_scripts(run.container)):
            yield _warn_of_wait(run.benchmark.name, _locate_request(run))
        yield from _check_sleep(run)
    for template, container in others:
        yield from _check_end(template, container)


def _has_deadline(template: PodTemplate) -> bool:
    holders = (template.spec, template.manifest.root.get("spec"))
    return any(holder is not None and holder.get(_DEADLINE) is not None for holder in holders)


def _warn_of_wait(name: str, location: Location) -> Finding:
    return warn(
        f"{name} waits for its service without a timeout and has no {_DEADLINE}",
        fix=set_value(f"spec.{_DEADLINE}", 7200),
        location=location,
    )


def _find_others(
    recipe: Recipe, measured: Collection[tuple[str, int, int]]
) -> Iterator[tuple[PodTemplate, Value]]:
    """The containers of Jobs that measure and serve nothing, and of pods that a page waits for to succeed."""
    serving = {(each.file, each.name) for each in recipe.servers}
    awaited = {text for page in recipe.pages for words in page.commands for text in _list_awaited(words)}
    for template in list_pod_templates(recipe):
        manifest = template.manifest
        job = manifest.kind == "Job" and (manifest.file, manifest.name) not in serving
        if job or (manifest.kind == "Pod" and manifest.name in awaited):
            for container in template.containers:
                if (manifest.file, container.line, container.column) not in measured:
                    yield template, container


def _list_awaited(words: Sequence[Word]) -> Iterator[str]:
    """The names of the pods that a `kubectl wait` waits for until they have succeeded."""
    texts = [word.text or "" for word in words]
    if texts[:2] == ["kubectl", "wait"] and any("Succeeded" in text for text in texts):
        kinds = ("pod", "pods", "po")
        yield from (text.partition("/")[2] for text in texts if text.partition("/")[0] in kinds)
        yield from (name for kind, name in pairwise(texts) if kind in kinds)


def _check_end(template: PodTemplate, container: Value) -> Iterator[Finding]:
    """Reports a container of a Job or an awaited pod that never ends."""
    if _has_deadline(template) or container.get_text("restartPolicy") == "Always":
        return
    name, file = f"{template.manifest.kind} {template.manifest.name}", template.manifest.file
    elements = list(_list_scripts(container))
    whole = " ".join(element.text or "" for element in elements)[-_MAX_SCRIPT:]
    waiting = next((element for element in elements if _waits_forever(element.text or "")), None)
    if waiting is not None:
        yield _warn_of_wait(name, Location(file, waiting.line, waiting.column))
    elif _LAST_SLEEP.search(whole):
        yield warn(
            f"{name} never ends: it sleeps for ever at its end",
            fix=f"leave out the sleep, or set spec.{_DEADLINE}",
            location=Location(file, elements[-1].line, elements[-1].column),
        )


def _check_sleep(run: _BenchmarkRun) -> Iterator[Finding]:
    """Reports a pod of a benchmark whose script has a sleep without an end."""
    scripts = [element for element in _list_scripts(run.container) if _SLEEPER.search(element.text or "")]
    whole = " ".join(element.text or "" for element in _list_scripts(run.container))[-_MAX_SCRIPT:]
    kind = run.template.manifest.kind
    if (kind == "Pod" and scripts) or (kind == "Job" and _LAST_SLEEP.search(whole)):
        yield warn(
            f"{kind} {run.benchmark.name} sleeps for ever after its run: nobody sees that it has ended",
            fix="leave out the sleep" if kind == "Job" else "make it a Job, and leave out the sleep",
            location=run.place,
        )


def _locate_request(run: _BenchmarkRun) -> Location:
    """The first network request of a run, else its container."""
    for command in run.benchmark.commands:
        if command and (command[0].text or "").rpartition("/")[2] in ("curl", "wget", "nc", "kubectl"):
            return Location(run.benchmark.file, command[0].line, command[0].column)
    return run.place


def _waits_forever(script: str) -> bool:
    """Whether a loop waits for a network service without a timeout or a limit of attempts."""
    for loop in _WAIT.finditer(script[:_MAX_SCRIPT]):
        before = script[script.rfind("\n", 0, loop.start()) + 1 : loop.start()]
        counted = re.search(r"-(lt|le|gt|ge)\b|\(\(", loop["test"])
        if not counted and not _ENDS.search(loop["body"]) and "timeout" not in before:
            return True
    return any(
        _PYTHON_REQUEST.search(body) and not _PYTHON_ENDS.search(body)
        for body in _list_python_loops(script[:_MAX_SCRIPT])
    )


def _list_python_loops(script: str) -> Iterator[str]:
    """The bodies of loops without a condition: the lines below that are indented further."""
    lines = script.splitlines()
    for i, line in enumerate(lines):
        if line.strip() in _PYTHON_LOOPS:
            margin = len(line) - len(line.lstrip())
            inner = takewhile(lambda each: not each.strip() or each[: margin + 1].isspace(), lines[i + 1 :])  # noqa: B023
            yield "\n".join(inner)


@check("perf.tool-pinned", title="Benchmarks pin the release of their load generator")
def tool_pinned(recipes: Recipes) -> Iterator[Finding]:
    """Load generators change defaults and metrics between releases: results of two releases are not
    comparable, and a later release may not start.

    Judged are `pip install` and `uv pip install` of a load generator, or of a Git repository.

    Fix: pip install aiperf==0.10.0
    """
    for run in _find_runs(recipes):
        for word in (word for command in run.benchmark.commands for word in _find_requirements(command)):
            text = word.text or ""
            if _is_unpinned(text):
                yield warn(
                    f"{run.benchmark.name} installs {text} without pinning a release",
                    fix=replace_words(text, re.split("[<>~]", text)[0] + "==RELEASE")
                    if not text.startswith("git+")
                    else replace_words(text, f"{text}@REVISION"),
                    location=Location(run.benchmark.file, word.line, word.column),
                )


def _find_requirements(command: Sequence[Word]) -> Iterator[Word]:
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


def _is_unpinned(requirement: str) -> bool:
    """Whether the same command may later install another release."""
    _, git, repository = requirement.partition("git+")
    if git:
        path = repository.partition("#")[0].partition("://")[2].partition("/")[2]
        return "@" not in path
    name = re.split(r"[\[<>=!~;@ ]", requirement, maxsplit=1)[0].lower().replace("_", "-")
    return name in _TOOLS and not _PINNED.search(requirement)


@check("perf.artifacts", title="Benchmark results outlive the pod")
def artifacts(recipes: Recipes) -> Iterator[Result]:
    """Files on the container's own disk or in an emptyDir are deleted with the pod: an hour of load leaves a
    few lines of log.

    The folder is that of the tool's flag (of its last run, if some are unknown), or else of a variable with
    ARTIFACT in its name. Not judged are folders that only the running container knows, and containers that
    copy files elsewhere.

    Fix: write to a folder on a mounted claim (--artifact-dir)
    """
    for run in _find_runs(recipes):
        output = _find_output(run)
        if output is None and not _copies_elsewhere(run):
            why = "the folder for its results is known only when it runs"
            yield unjudged(run.benchmark.name, why=why, location=run.place)
            continue
        yield judged(1, "benchmarks")
        if output is None or _copies_elsewhere(run):
            continue
        folder, container = output.text or "", run.benchmark.container
        place = Location(run.benchmark.file, output.line, output.column)
        mount = container.find_mount(folder) if folder.startswith("/") else None
        if mount is not None and mount.read_only:
            yield fail(
                f"{run.benchmark.name} writes to {folder}, which is mounted read-only",
                fix="mount the claim without readOnly",
                location=place,
            )
        elif mount is None or mount.source == "empty":
            yield warn(
                f"{run.benchmark.name} writes its results to {folder}, which is lost with the pod",
                fix=_suggest_folder(folder, container),
                evidence={"mounts": sorted(mount.path for mount in container.mounts)},
                location=place,
            )


def _suggest_folder(folder: str, container: Container) -> str:
    claims = sorted(
        mount.path for mount in container.mounts if mount.source == "claim" and not mount.read_only
    )
    if not claims:
        return "mount a claim, and write to a folder on it"
    return replace_words(folder, posixpath.join(claims[0], folder.strip("/").rpartition("/")[2] or "results"))


def _find_output(run: _BenchmarkRun) -> Word | None:
    """The folder to which a benchmark writes; None if unknown."""
    outputs = [word for command in run.benchmark.commands for word in _list_outputs(command)]
    relative = (word for word in outputs if not _is_absolute(word.text))
    if outputs and all(word.text is not None for word in outputs):
        return next(relative, outputs[0])
    if outputs and _is_absolute(outputs[-1].text):
        return outputs[-1]  # earlier runs may be warm-ups
    variables = (v for v in run.benchmark.container.env if "ARTIFACT" in v.name and _is_absolute(v.value))
    return next((Word(v.value, v.line, v.column) for v in variables), None)


def _is_absolute(path: str | None) -> bool:
    return path is not None and path.startswith("/")


def _list_outputs(command: Sequence[Word]) -> Iterator[Word]:
    """The output folders in the flags of a load generator; empty for other commands."""
    if not command or (command[0].text or "").rpartition("/")[2] not in _TOOLS:
        return
    for i, word in enumerate(command):
        name, equals, value = (word.text or "").partition("=")
        if name in _OUTPUT and equals:
            yield Word(value, word.line, word.column)
        elif name in _OUTPUT and i + 1 < len(command):
            yield command[i + 1]


def _copies_elsewhere(run: _BenchmarkRun) -> bool:
    """Whether its script runs a program that copies files elsewhere."""
    programs = {(command[0].text or "").rpartition("/")[2] for command in run.benchmark.commands if command}
    return bool(programs & _CARRIERS)
