"""Checks that download Job, workers, benchmark and README use the same model name."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dynocheck import Finding, Location, Skip, check, fail, warn
from dynocheck.checks.model._readmes import check_readme_models
from dynocheck.engines import find_instances
from dynocheck.facts import Benchmark, Component, Container, Download, Graph, Launch, Recipe, Recipes


@dataclass(frozen=True)
class _ServedModel:
    """What one worker loads and the name it serves it by; None where the manifest does not tell."""

    graph: Graph
    component: Component
    container: Container
    launch: Launch
    model: str | None
    name: str | None

    @property
    def place(self) -> Location:
        return Location(self.graph.file, self.launch.line, self.launch.column)

    @property
    def is_offline(self) -> bool:
        own = next((each for each in self.launch.env if each.name == "HF_HUB_OFFLINE"), None)
        variable = own or self.container.find_variable("HF_HUB_OFFLINE")
        return variable is not None and variable.value in ("1", "true", "True", "yes", "on")


@check("model.same-everywhere", title="Download, workers, benchmark and README name the same model")
def same_everywhere(recipes: Recipes) -> Iterator[Finding]:
    """The model's name stands in the download Job, in every worker, in the benchmark and in the requests that
    a README shows. Where they differ, weights are fetched twice or not found, prefill and decode do not fit
    together, or every request is answered with 404.

    What is loaded by a path in the container is compared by the name it is served under.

    Fix: write the same name everywhere
    """
    judged = False
    for recipe in recipes:
        served = [found for graph in recipe.graphs for found in _list_served(graph)]
        judged = judged or bool(served)
        for graph in recipe.graphs:
            yield from _check_agreement([s for s in served if s.graph is graph])
        yield from _check_downloads(recipe, served)
        for benchmark in recipe.benchmarks:
            yield from _check_benchmark(benchmark, served)
        yield from check_readme_models(recipe)
    if not judged:
        raise Skip("no worker that loads a model")


@check("model.config", title="Model config.json files are readable")
def config(recipes: Recipes) -> Iterator[Finding]:
    """A model that the table does not have is judged by the `config.json` that lies in its recipe, and by the
    `model.safetensors.index.json` and `hf_quant_config.json` beside it. One that cannot be read leaves
    memory.* and parallelism.* without a verdict on it, and an engine that is given it does not start.

    Fix: hf download MODEL config.json model.safetensors.index.json --local-dir DIR
    """
    configs = [(recipe, found) for recipe in recipes for found in recipe.configs]
    if not configs:
        raise Skip("no config.json of a model")
    for recipe, found in configs:
        hollow = {each.path for each in recipe.hollow}  # which structure.files tells
        for file, problem in found.problems:
            if file not in hollow:
                yield warn(
                    problem.message,
                    fix=f"hf download MODEL {file.rpartition('/')[2]} --local-dir {found.folder}",
                    location=Location(file, problem.line, problem.column),
                )


def _list_served(graph: Graph) -> Iterator[_ServedModel]:
    for each in find_instances(graph):
        yield _ServedModel(graph, each.component, each.container, each.launch, each.model, each.served_name)


def _check_agreement(workers: Sequence[_ServedModel]) -> Iterator[Finding]:
    """What prefill workers compute, decode workers of the same model go on with."""
    others = [worker for worker in workers if worker.component.role != "prefill"]
    names = sorted({worker.name or "" for worker in others})
    for worker in workers:
        prefills = worker.component.role == "prefill" and worker.name is not None
        if prefills and names and "" not in names and worker.name not in names:
            yield fail(
                f"{worker.component.name} prefills {worker.name}, its graph decodes {', '.join(names)}",
                fix="give both the same model and --served-model-name",
                location=worker.place,
            )


def _is_hub_id(model: str) -> bool:
    return model.count("/") == 1 and not model.startswith(("/", ".", "~"))


def _check_downloads(recipe: Recipe, workers: Sequence[_ServedModel]) -> Iterator[Finding]:
    """Models that workers load by their hub id, and that nothing downloads."""
    fetched = {download.model for download in recipe.downloads}
    loaded = {worker.model for worker in workers if worker.model and _is_hub_id(worker.model)}
    if not fetched or None in fetched or loaded <= fetched:
        return
    agreed = len(loaded) == 1 and all(worker.model in loaded for worker in workers)
    if agreed and len(recipe.downloads) == 1 and len(workers) > 1:
        yield _report_wrong_download(recipe.downloads[0], workers)  # one against all: it is the Job
        return
    names = ", ".join(sorted(name for name in fetched if name))
    for worker in workers:
        if worker.model in loaded - fetched:
            message = f"{worker.component.name} loads {worker.model}, the recipe downloads {names}"
            fix = f"download {worker.model} in model-cache/, or load what is downloaded"
            if worker.is_offline:
                yield fail(f"{message}, and HF_HUB_OFFLINE is set", fix=fix, location=worker.place)
            else:
                yield warn(f"{message}: each pod fetches its own", fix=fix, location=worker.place)


def _report_wrong_download(download: Download, workers: Sequence[_ServedModel]) -> Finding:
    """The only download, of what none of several workers loads."""
    offline = [worker for worker in workers if worker.is_offline]
    message = f"downloads {download.model}, every worker loads {workers[0].model}"
    say, ends = (fail, ", and HF_HUB_OFFLINE is set") if offline else (warn, ": each pod fetches its own")
    return say(
        message + ends,
        fix=f"download {workers[0].model}, or load what is downloaded",
        evidence={"workers": len(workers)},
        location=Location(download.file, download.line, download.column),
    )


def _check_benchmark(benchmark: Benchmark, served: Sequence[_ServedModel]) -> Iterator[Finding]:
    """A benchmark asks for a name that a graph of its folder serves, or of the recipe if its has none."""
    beside = [worker for worker in served if benchmark.is_beside(worker.graph)] or served
    names = sorted({worker.name or "" for worker in beside})
    asked = benchmark.model.value if benchmark.model else None
    if benchmark.model is None or asked is None or not names or "" in names:
        return
    if asked not in names:
        yield fail(
            f"{benchmark.name} requests {asked}, its graph serves {', '.join(names)}",
            fix=f"set {benchmark.model.name} to {names[0]}",
            location=Location(benchmark.file, benchmark.model.line, benchmark.model.column),
        )
