"""Compares the model names in README requests with the names that the graphs serve."""

import re
from collections.abc import Iterable, Iterator

from dynocheck import Finding, Location, warn
from dynocheck.core.fixes import replace_words
from dynocheck.engines import find_instances
from dynocheck.facts import Graph, Page, Recipe, Word

_BODY = re.compile(r"\"model\"\s*:\s*\"([^\"\\]+)\"")
_MODEL_FLAGS = ("--model", "--model-name", "--model-names")
_LOAD_TOOLS = ("aiperf", "genai-perf", "guidellm", "inference-perf", "dynocheck")
_PLACEHOLDER = re.compile(
    r"(your|my|some)[-_ ].*|.*\bmodel[-_ ]?(name|id)|model|[A-Z_]+|.*[$<>{}].*", re.IGNORECASE
)
_PUBLIC = re.compile(r"https?://[^/]*\.(com|ai|org)\b")
_OTHER_MODELS = ("DynamoModel", "DynamoGraphDeploymentRequest", "Deployment", "StatefulSet")


def check_readme_models(recipe: Recipe) -> Iterator[Finding]:
    """Reports requests in READMEs for a model that no graph in or below the README's folder serves.

    Any word or variable of an engine's container counts as a served name, because adapters and aliases have
    flags of their own. Recipes with other servers and READMEs about LoRA adapters are not judged.
    """
    if any(manifest.kind in _OTHER_MODELS for manifest in recipe.manifests):
        return
    for page in recipe.pages:
        graphs = [graph for graph in recipe.graphs if _is_beside(page, graph)] or list(recipe.graphs)
        known = _collect_names(graphs)
        if known is None or _mentions_adapters(page):
            continue
        served = sorted({name for graph in graphs for name in _list_served(graph)})
        for name, word in _find_requested(page.commands):
            if name not in known and not _PLACEHOLDER.fullmatch(name):
                yield warn(
                    f"the README requests {name}, its graphs serve {', '.join(served)}",
                    fix=replace_words(name, served[0] if served else "NAME"),
                    location=Location(page.path, word.line, word.column),
                )


def _is_beside(page: Page, graph: Graph) -> bool:
    return graph.file.startswith(f"{page.path.rpartition('/')[0]}/")


def _list_served(graph: Graph) -> Iterator[str]:
    return (engine.served_name or "" for engine in find_instances(graph))


def _collect_names(graphs: Iterable[Graph]) -> set[str] | None:
    """Every possible model name in the arguments and variables of these graphs; None if some are unknown."""
    names: set[str] = set()
    for graph in graphs:
        served = set(_list_served(graph))
        if not served or "" in served:
            return None
        containers = [container for component in graph.components for container in component.containers]
        words = [word.text or "" for c in containers for launch in c.launches for word in launch.words]
        names |= served | {part for word in words for part in (word, *re.split(r"[=,\s]", word))}
        names |= {variable.value for c in containers for variable in c.env if variable.value}
    return names or None


def _mentions_adapters(page: Page) -> bool:
    return any("lora" in (word.text or "").lower() for command in page.commands for word in command)


def _find_requested(commands: Iterable[tuple[Word, ...]]) -> Iterator[tuple[str, Word]]:
    """The models in a page's requests and load tests."""
    for command in commands:
        texts = [word.text or "" for word in command]
        programs = {text.rpartition("/")[2] for text in texts}  # in any position: kubectl exec may precede it
        if any(_PUBLIC.search(text) for text in texts):
            continue
        if "curl" in programs:
            yield from ((name, word) for word in command for name in _BODY.findall(word.text or ""))
        elif not programs.isdisjoint(_LOAD_TOOLS):
            yield from _find_model_flags(command)


def _find_model_flags(command: tuple[Word, ...]) -> Iterator[tuple[str, Word]]:
    for flag, value in zip(command, (*command[1:], None), strict=False):
        name, equals, inline = (flag.text or "").partition("=")
        if name in _MODEL_FLAGS:
            model = inline if equals else value.text if value is not None else None
            if model and not model.startswith(("-", "/", ".")):
                yield model, flag
