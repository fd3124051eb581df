"""Checks that download Job, workers, benchmark and README use the same model name."""

import shlex
from collections.abc import Iterator, Sequence

from dynocheck import Finding, Location, Result, Skip, check, fail, judged, unjudged, warn
from dynocheck.checks.engine._coverage import describe_unjudged
from dynocheck.checks.model._readmes import check_readme_models
from dynocheck.core.fixes import replace_words, set_argument
from dynocheck.engines import EngineInstance, find_instances
from dynocheck.facts import Benchmark, Download, Recipe, Recipes


@check("model.same-everywhere", title="Download, workers, benchmark and README name the same model")
def same_everywhere(recipes: Recipes) -> Iterator[Result]:
    """The download Job, the workers, the benchmark and the requests in a README each name the model. If the
    names differ, weights are downloaded twice or not found, prefill and decode workers do not fit together,
    or every request gets a 404.

    A model that is loaded from a path is compared by its served name.

    Fix: write the same name everywhere
    """
    applies = False
    every_graph = [graph for recipe in recipes for graph in recipe.graphs]
    for recipe in recipes:
        workers = [worker for graph in recipe.graphs for worker in find_instances(graph)]
        applies = applies or bool(workers) or bool(recipe.servers and (recipe.pages or recipe.scripts))
        yield from _count_named(recipe, workers)
        for graph in recipe.graphs:
            yield from _check_agreement([worker for worker in workers if worker.graph is graph])
        yield from _check_downloads(recipe, workers)
        for benchmark in recipe.benchmarks:
            targets = benchmark.find_targets(recipe.graphs or every_graph)
            measured = [worker for graph in targets for worker in find_instances(graph)]
            yield from _check_benchmark(benchmark, measured or workers)
        yield from check_readme_models(recipe)
    if not applies:
        raise Skip("no worker that loads a model")


def _count_named(recipe: Recipe, workers: Sequence[EngineInstance]) -> Iterator[Result]:
    """The workers, downloads and benchmarks whose model can be read, and those whose cannot."""
    needs = "a literal model name"
    unread = [worker for worker in workers if worker.served_name is None]
    for worker in unread:
        yield describe_unjudged(
            [worker], "model", why="its model cannot be read from the recipe", needs=needs
        )
    yield judged(len(workers) - len(unread), "models")
    if workers:
        downloads = [(each.file, each.line, each.column) for each in recipe.downloads if each.model is None]
        benchmarks = [
            (each.file, each.model.line, each.model.column)
            for each in recipe.benchmarks
            if each.model is not None and not each.model.value
        ]
        for what, places in (("download", downloads), ("benchmark", benchmarks)):
            for place in places:
                why = f"the model of the {what} cannot be read from the recipe"
                yield unjudged(f"{what} in {place[0]}", why=why, needs=needs, location=Location(*place))


@check("model.config", title="Model config.json files are readable")
def config(recipes: Recipes) -> Iterator[Finding]:
    """A model without built-in data is judged by the `config.json` in its recipe, and the
    `model.safetensors.index.json` and `hf_quant_config.json` beside it. If one is unreadable, memory.* and
    parallelism.* cannot judge the model, and an engine that loads it does not start.

    Fix: hf download MODEL config.json model.safetensors.index.json --local-dir DIR
    """
    configs = [(recipe, config) for recipe in recipes for config in recipe.configs]
    if not configs:
        raise Skip("no config.json of a model")
    for recipe, model_config in configs:
        hollow = {file.path for file in recipe.hollow}  # structure.files reports them
        for file, problem in model_config.problems:
            if file not in hollow:
                yield warn(
                    problem.message,
                    fix=f"hf download MODEL {file.rpartition('/')[2]} "
                    f"--local-dir {shlex.quote(model_config.folder)}",
                    location=Location(file, problem.line, problem.column),
                )


def _check_agreement(workers: Sequence[EngineInstance]) -> Iterator[Finding]:
    """Reports prefill workers whose model no decode worker of the graph serves."""
    others = [worker for worker in workers if worker.side != "prefill"]
    names = sorted({worker.served_name or "" for worker in others})
    for worker in workers:
        name = worker.served_name if worker.side == "prefill" else None
        if name is not None and names and "" not in names and name not in names:
            yield fail(
                f"{worker.name} prefills {name}, its graph decodes {', '.join(names)}",
                fix="give both the same model and --served-model-name",
                location=_locate(worker),
            )


def _is_hub_id(model: str) -> bool:
    return model.count("/") == 1 and not model.startswith(("/", ".", "~"))


def _check_downloads(recipe: Recipe, workers: Sequence[EngineInstance]) -> Iterator[Finding]:
    """Reports models that workers load by hub id, and their part of the recipe does not download."""
    parts: dict[tuple[Download, ...], list[EngineInstance]] = {}
    for worker in workers:
        if _takes_adapters(worker):
            continue  # what is downloaded may be an adapter
        parts.setdefault(recipe.find_downloads(worker.graph), []).append(worker)
    for downloads, engines in parts.items():
        yield from _check_part(downloads, engines)


def _takes_adapters(worker: EngineInstance) -> bool:
    """Whether an engine serves LoRA adapters."""
    enabled = worker.find_variable("DYN_LORA_ENABLED")
    flags = ("--enable-lora", "--lora-modules", "--lora-paths")
    return worker.given.get(*flags) is not None or (enabled is not None and enabled.value != "false")


def _check_part(downloads: Sequence[Download], workers: Sequence[EngineInstance]) -> Iterator[Finding]:
    fetched = {download.model for download in downloads}
    loaded = {worker.model for worker in workers if worker.model and _is_hub_id(worker.model)}
    if not fetched or None in fetched or loaded <= fetched:
        return
    agreed = len(loaded) == 1 and all(worker.model in loaded for worker in workers)
    if agreed and len(downloads) == 1 and len(workers) > 1:
        yield _report_wrong_download(downloads[0], workers)
        return
    names = ", ".join(sorted(name for name in fetched if name))
    for worker in workers:
        if worker.model in loaded - fetched:
            message = f"{worker.name} loads {worker.model}, the recipe downloads {names}"
            fix = f"download {worker.model} in model-cache/, or load the downloaded model"
            if worker.is_offline:
                yield fail(f"{message}, and HF_HUB_OFFLINE is set", fix=fix, location=_locate(worker))
            else:
                yield warn(f"{message}: each pod downloads its own", fix=fix, location=_locate(worker))


def _report_wrong_download(download: Download, workers: Sequence[EngineInstance]) -> Finding:
    """The finding for a recipe's only download, if all workers load another model."""
    offline = any(worker.is_offline for worker in workers)
    report, effect = (
        (fail, ", and HF_HUB_OFFLINE is set") if offline else (warn, ": each pod downloads its own")
    )
    return report(
        f"downloads {download.model}, every worker loads {workers[0].model}{effect}",
        fix=_suggest_download(download, workers[0].model or "NAME"),
        evidence={"workers": len(workers)},
        location=Location(download.file, download.line, download.column),
    )


def _suggest_download(download: Download, model: str) -> str:
    named = [variable.name for variable in download.container.env if variable.value == download.model]
    remark = "or load the downloaded model"
    if named:
        return set_argument(named[0], model, remark)
    return replace_words(download.model or "NAME", model, remark)


def _check_benchmark(benchmark: Benchmark, workers: Sequence[EngineInstance]) -> Iterator[Finding]:
    """Reports a benchmark of a model that the graphs of its folder, or else of the recipe, do not serve."""
    beside = [worker for worker in workers if benchmark.is_beside(worker.graph)] or workers
    names = sorted({worker.served_name or "" for worker in beside})
    waited = benchmark.container.find_variable(
        "TARGET_MODEL"
    )  # for which a script waits, whatever it requests
    if not names or "" in names:
        return
    for model in (benchmark.model, waited if waited != benchmark.model else None):
        if model is not None and model.value and model.value not in names and "$" not in model.value:
            yield fail(
                f"{benchmark.name} requests {model.value}, its graph serves {', '.join(names)}",
                fix=set_argument(model.name, names[0]),
                location=Location(benchmark.file, model.line, model.column),
            )


def _locate(worker: EngineInstance) -> Location:
    return Location(worker.graph.file, worker.launch.line, worker.launch.column)
