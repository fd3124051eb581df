"""Judges probes that run curl in the container."""

import re
import shlex
from collections.abc import Iterator

from dynocheck import Location, Result, fail, judged, warn
from dynocheck.checks.graph._probe_fields import PROBES
from dynocheck.core.fixes import remove, replace_words, set_value
from dynocheck.data.images import parse_image
from dynocheck.facts import PodTemplate, Recipe, Value, list_pod_templates

_SHELLS = ("sh", "bash", "dash", "ash")
_OR_EXIT = re.compile(r"\s*\|\|\s*(?:exit\s+\d+|false)\s*;?\s*")
_BRANCHES = re.compile(r"[|&;`\n]|\$\(")
_URL = re.compile(r"[\"']?https?://.*")
# A cluster of curl's short options with -f, none of which before it takes a value: curl --help all.
_FAILS = re.compile(r"-[aBgGiIjJklLnNOpqRsSvVZ0#12346]*f.*|--fail(-with-body)?")
_FETCHERS = ("curl", "wget")


def check_exec_probes(recipe: Recipe) -> Iterator[Result]:
    """Reports a curl that succeeds at an error, and one that the image of Ollama does not have."""
    for template in list_pod_templates(recipe):
        for container in template.containers:
            for name in PROBES:
                command = container.get(name, "exec", "command")
                if command is not None:
                    yield from _check_command(template, container, name, command)


def _check_command(template: PodTemplate, container: Value, name: str, command: Value) -> Iterator[Result]:
    words = _split_command([each.text for each in command.sequence])
    if not words or words[0] not in _FETCHERS:
        return
    yield judged(1, "probes")
    place = next((each for each in command.sequence if words[0] in (each.text or "")), command)
    location = Location(template.manifest.file, place.line, place.column)
    if _lacks_fetchers(container):
        yield fail(
            f"{template.owner}: {name} runs {words[0]}, which the image of Ollama has not: it never succeeds",
            fix=f"{remove('exec')}; {set_value('httpGet', {'path': '/', 'port': 11434})}",
            evidence={"source": "https://github.com/ollama/ollama/issues/9781"},
            location=location,
        )
    elif words[0] == "curl" and any(map(_URL.fullmatch, words)) and not any(map(_FAILS.fullmatch, words)):
        yield warn(
            f"{template.owner}: {name} runs curl without -f, which succeeds at status 503 as well",
            fix=replace_words("curl", "curl -f") if place.text != "curl" else "add -f behind curl",
            location=location,
        )


def _split_command(texts: list[str | None]) -> list[str]:
    """The words of the one program that a command runs, also through a shell; empty if it runs several."""
    words = [text or "" for text in texts]
    if words and words[0].rpartition("/")[2] in _SHELLS:
        if len(words) != 3 or not re.fullmatch(r"-\w*c", words[1]):
            return []
        script = _OR_EXIT.sub("", words[2]).strip()
        if _BRANCHES.search(script):
            return []
        try:
            words = shlex.split(script)
        except ValueError:
            return []
    return [words[0].rpartition("/")[2], *words[1:]] if words else []


def _lacks_fetchers(container: Value) -> bool:
    """Whether a container has Ollama's own image, but for ROCm, and installs nothing itself."""
    reference = parse_image(container.get_text("image"))
    own = f"/{reference.name}".endswith("/ollama/ollama") and "rocm" not in reference.tag
    texts = [value.text or "" for key in ("command", "args", "lifecycle") for value in _walk(container, key)]
    return own and not any("install" in text for text in texts)


def _walk(container: Value, key: str) -> Iterator[Value]:
    found = container.get(key)
    return found.walk() if found is not None else iter(())
