"""Compares the model names in README requests with the names that the graphs serve."""

import re
from collections.abc import Iterable, Iterator

from dynocheck import Finding, Location, warn
from dynocheck.core.fixes import replace_words
from dynocheck.engines import find_instances
from dynocheck.facts import Graph, Manifest, Page, Recipe, Word

_BODY = re.compile(r"\"model\"\s*:\s*\"([^\"\\]+)\"")
_MODEL_FLAGS = ("--model", "--model-name", "--model-names")
_LOAD_TOOLS = ("aiperf", "genai-perf", "guidellm", "inference-perf", "dynocheck")
_PLACEHOLDER = re.compile(
    r"(your|my|some)[-_ ].*|.*\bmodel[-_ ]?(name|id)|model|(?-i:[A-Z_]+)|.*[$<>{}].*", re.IGNORECASE
)
_PUBLIC = re.compile(r"https?://[^/]*\.(com|ai|org)\b")
_OTHER_MODELS = ("DynamoModel", "DynamoGraphDeploymentRequest")
_WORKLOADS = ("Deployment", "StatefulSet")
# Images of what may serve models of names of its own, or give others to those behind it.
_NAMES_MODELS = re.compile(
    r"litellm|router|gateway|proxy|llm|llama|infer|sglang|triton|tgi|/ray|model", re.IGNORECASE
)


def check_readme_models(recipe: Recipe) -> Iterator[Finding]:
    """Reports requests in READMEs and scripts for a model that nothing in or below their folder serves.

    Any word or variable of an engine's container counts as a served name, because adapters and aliases have
    flags of their own. Recipes with other servers, plain engines other than vLLM, which answer to any name,
    and READMEs about LoRA adapters that are loaded at run time are not judged.
    """
    if any(_may_serve(manifest, recipe) for manifest in recipe.manifests):
        return
    for page in (*recipe.pages, *recipe.scripts):
        graphs = [graph for graph in recipe.deployments if _is_beside(page, graph)] or list(
            recipe.deployments
        )
        known = _collect_names(graphs)
        if known is None or (_mentions_adapters(page) and not _lists_adapters(graphs)):
            continue
        served = sorted({name for graph in graphs for name in _list_served(graph)})
        what = "README" if page in recipe.pages else "script"
        whose = "graphs serve" if all(graph.of_dynamo for graph in graphs) else "servers serve"
        for name, word in _find_requested(page.commands):
            if name not in known and not _PLACEHOLDER.fullmatch(name):
                yield warn(
                    f"the {what} requests {name}, its {whose} {', '.join(served)}",
                    fix=replace_words(name, served[0] if served else "NAME"),
                    location=Location(page.path, word.line, word.column),
                )


def _may_serve(manifest: Manifest, recipe: Recipe) -> bool:
    """Whether an object may serve models whose names are not known."""
    if manifest.kind not in _WORKLOADS:
        return manifest.kind in _OTHER_MODELS
    if any((s.file, s.kind, s.name) == (manifest.file, manifest.kind, manifest.name) for s in recipe.servers):
        return False
    return any(_NAMES_MODELS.search(image.text or "") for image in manifest.root.find_all("image"))


def _is_beside(page: Page, graph: Graph) -> bool:
    return graph.file.startswith(f"{page.path.rpartition('/')[0]}/")


def _list_served(graph: Graph) -> Iterator[str]:
    return (engine.served_name or "" for engine in find_instances(graph))


def _collect_names(graphs: Iterable[Graph]) -> set[str] | None:
    """Every possible model name in the arguments and variables of these graphs; None if some are unknown."""
    names: set[str] = set()
    for graph in graphs:
        served = set(_list_served(graph))
        answers_any = not graph.of_dynamo and any(e.engine.name != "vllm" for e in find_instances(graph))
        if not served or "" in served or answers_any:
            return None
        containers = [container for component in graph.components for container in component.containers]
        words = [word.text or "" for c in containers for launch in c.launches for word in launch.words]
        names |= served | {part for word in words for part in (word, *re.split(r"[=,\s]", word))}
        names |= {variable.value for c in containers for variable in c.env if variable.value}
    return names or None


def _mentions_adapters(page: Page) -> bool:
    return any("lora" in (word.text or "").lower() for command in page.commands for word in command)


def _lists_adapters(graphs: Iterable[Graph]) -> bool:
    """Whether the adapters of these servers are named in their arguments."""
    containers = (c for graph in graphs for component in graph.components for c in component.containers)
    words = (word.text or "" for c in containers for launch in c.launches for word in launch.words)
    return any(word.startswith("--lora-modules") for word in words)


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
