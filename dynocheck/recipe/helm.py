"""Renders Helm charts with the helm of this machine, by the values in them, without the network."""

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from dynocheck.data.kubernetes_schemas import choose_release
from dynocheck.facts import Value
from dynocheck.recipe.files import try_read_text
from dynocheck.recipe.renderers import run_renderer
from dynocheck.recipe.templates import quote_variables, unquote_variables
from dynocheck.recipe.yaml_loader import read_documents

_TEMPLATES = (".yaml", ".yml", ".tpl", ".txt")
_MAX_TEMPLATES = 200  # files
_MAX_UNSET = 100  # values
_KIND = re.compile(
    r"^kind: *(Deployment|StatefulSet|DaemonSet|Job|LeaderWorkerSet|\w*GraphDeployment|InferenceService)\b",
    re.MULTILINE,
)
_TAG = re.compile(r"\{\{([^{}]*)\}\}")
_VALUE = re.compile(r"\.Values\.(\w+(?:\.\w+)*)")
# A value that is written as it is, whether it is set or not.
_WRITTEN = re.compile(
    r"-?\s*(?:required\s+\"[^\"]*\"\s+)?\.Values\.(\w+(?:\.\w+)*)"
    r"(?:\s*\|\s*(?:quote|squote|trim|toString|required\s+\"[^\"]*\"))*\s*-?"
)
_ERROR = re.compile(r"(?:execution error at )?\(?([\w./-]+:\d+)(?::\d+)?\)?: (.*)", re.DOTALL)
_MAX_REASON = 200  # characters


class RenderedChart(NamedTuple):
    """What Helm makes of a chart; if it cannot, why. `tags` are the values that the chart leaves open, by the
    name that stands for each in the output. `left_out` are the kinds of its templates that are not in it.
    """

    output: str
    reason: str = ""
    tags: Mapping[str, str] = MappingProxyType({})
    left_out: tuple[str, ...] = ()


def render_chart(folder: Path, given: Mapping[str, str]) -> RenderedChart | None:
    """Render a chart; None if Helm is not installed. Nothing is executed or fetched.

    A value that the chart's values do not set and a template writes as it is becomes a `${NAME}`.

    :param given: values by their path.
    """
    command = _find_command()
    if not command:
        return None
    templates = "\n".join(_read_templates(folder))
    used = {name: value for name, value in given.items() if f".Values.{name}" in templates}
    tags = {
        re.sub(r"\W", "_", name).upper(): name for name in _find_unset(folder, templates) if name not in used
    }
    options = [f"--set={name}={_escape(value)}" for name, value in used.items()]
    options += [f"--set-string={name}=" + quote_variables(f"${{{v}}}") for v, name in tags.items()]
    newest = ".".join(map(str, choose_release()))
    options += ["--skip-tests", f"--kube-version={newest}"]  # by whose schemas the output is judged
    done = run_renderer([*command, "release", str(folder), *options])
    opened = {variable: f".Values.{name}" for variable, name in tags.items()}
    left_out = tuple(sorted({*_KIND.findall(templates)} - {*_KIND.findall(done.output)}))
    return RenderedChart(unquote_variables(done.output), _shorten(done.error), opened, left_out)


def _escape(value: str) -> str:
    """A value as `--set` takes it for one text."""
    return re.sub(r"([\\,{}])", r"\\\1", value)


def _shorten(error: str) -> str:
    """The first thing that Helm says is wrong."""
    message = error.removeprefix("Error: ").split("\n\n")[0]
    if found := _ERROR.search(message):
        message = f"{found[1].partition('/')[2]}: {found[2]}"
    return " ".join(message.split())[:_MAX_REASON]


def _read_templates(folder: Path) -> Iterator[str]:
    paths = sorted(path for path in (folder / "templates").rglob("*") if path.suffix in _TEMPLATES)
    for path in paths[:_MAX_TEMPLATES]:
        yield try_read_text(path) or ""


def _find_unset(folder: Path, templates: str) -> list[str]:
    """The paths of values that are not set, and that templates write whether they are set or not."""
    written: set[str] = set()
    tested: set[str] = set()
    for tag in _TAG.findall(templates):
        whole = _WRITTEN.fullmatch(tag)
        if whole:
            written.add(whole[1])
        else:
            tested.update(_VALUE.findall(tag))
    values = read_documents(try_read_text(folder / "values.yaml") or "{}", [])
    root: Any = values[0] if values else Value({}, 1, 1)
    unset = (
        name
        for name in sorted(written)
        if not any(f"{name}.".startswith(f"{other}.") for other in tested)
        and ((value := root.get(*name.split("."))) is None or value.data == "")
    )
    return list(unset)[:_MAX_UNSET]


@cache
def _find_command() -> tuple[str, ...]:
    """The words before a release's name; none if Helm is not installed."""
    found = shutil.which("helm")
    return (os.path.realpath(found), "template") if found else ()
