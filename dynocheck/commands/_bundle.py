"""The files of a support bundle: the snapshot, a report, logs and events as text, and a page of contents."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

import msgspec

from dynocheck.core.knowledge import Knowledge
from dynocheck.facts import ContainerLogs, NamespaceState
from dynocheck.secrets import HIDDEN, hide_all

_REPORTS = ("json", "html", "markdown")
_SUFFIXES = {"markdown": "md"}


def collect_files(
    snapshot: bytes, knowledge: Knowledge, target: Mapping[str, Any], report: Callable[[list[str]], object]
) -> dict[str, bytes]:
    """The files of a bundle, by name.

    :param snapshot: the snapshot as it is written; secrets are hidden in it.
    :param report: takes the outputs of a report, such as json=FILE, judges the facts and writes them.
    """
    files = {"snapshot.json": snapshot, **_render_reports(report)}
    files |= {name: hide_all(text).encode() for name, text in _render_texts(knowledge)}
    index = _render_index([*files, "index.html"], snapshot, knowledge, target)
    return files | {"index.html": index.encode()}


def _render_reports(report: Callable[[list[str]], object]) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        paths = {form: Path(folder) / f"report.{_SUFFIXES.get(form, form)}" for form in _REPORTS}
        report([f"{form}={path}" for form, path in paths.items()])
        return {path.name: path.read_bytes() for path in paths.values()}


def _render_texts(knowledge: Knowledge) -> Iterator[tuple[str, str]]:
    """The events of the namespace, and each log, with their file names."""
    state, logs = knowledge.facts.get(NamespaceState), knowledge.facts.get(ContainerLogs)
    if isinstance(state, NamespaceState):
        events = sorted(state.events, key=lambda event: event.last)
        lines = (f"{e.last} {e.type} {e.about} {e.reason} (x{e.count}): {e.message}\n" for e in events)
        yield "events.txt", "".join(lines)
    for log in logs if isinstance(logs, ContainerLogs) else ():
        run = ".previous" if log.previous else ""
        text = log.problem or "\n".join(log.lines)
        yield f"logs/{log.pod}/{log.container}{run}.log", f"{text}\n"


def _render_index(names: list[str], snapshot: bytes, knowledge: Knowledge, target: Mapping[str, Any]) -> str:
    """The page of contents: of what, what could not be read, and what is hidden."""
    about = ", ".join(f"{key} {value}" for key, value in hide_all(dict(target)).items())
    unread = {kind.__name__: missing.reason for kind, missing in knowledge.missing.items()}
    state = knowledge.facts.get(NamespaceState)
    unread |= state.unread if isinstance(state, NamespaceState) else {}
    links = [
        f'<li><a href="{escape(name)}">{escape(name)}</a></li>' for name in names if name != "index.html"
    ]
    reasons = [f"<li>{escape(name)}: {escape(hide_all(why))}</li>" for name, why in unread.items()]
    hidden = [f"<li>{escape(name)}: {count}</li>" for name, count in _count_hidden(snapshot)]
    return "\n".join(
        [
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>dynocheck support bundle</title>',
            f"<h1>Support bundle</h1><p>{escape(about)}</p>",
            "<h2>Files</h2><ul>",
            *links,
            "</ul><h2>Could not be read</h2><ul>",
            *(reasons or ["<li>nothing</li>"]),
            f"</ul><h2>Hidden as {escape(HIDDEN)}, by fact</h2><ul>",
            *(hidden or ["<li>nothing</li>"]),
            "</ul></html>\n",
        ]
    )


def _count_hidden(snapshot: bytes) -> Iterator[tuple[str, int]]:
    """The facts in which secrets were hidden, and how many times."""
    facts = msgspec.json.decode(snapshot)["facts"]
    for name, fact in facts.items():
        if count := msgspec.json.encode(fact).decode().count(HIDDEN):
            yield name, count
