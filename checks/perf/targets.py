"""Checks the endpoint, limits, GPU count and tokenizer of benchmarks."""

import re
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from dynocheck import Finding, Location, Result, Skip, check, fail, judged, unjudged, warn
from dynocheck.core.fixes import replace_words, set_argument, set_variable
from dynocheck.core.outcomes import Unjudged
from dynocheck.engines import find_instances
from dynocheck.engines.model_lookup import strip_precision
from dynocheck.facts import (
    LIMITS_ANNOTATION,
    Benchmark,
    Download,
    EnvVar,
    Graph,
    Recipe,
    Recipes,
    Word,
    parse_annotation,
    parse_count,
)

# What stores a tokenizer in a folder: `hf download ID --local-dir DIR`, or a line of Python.
_STORED = re.compile(
    r"""(?:\bdownload\s+|from_pretrained\(\s*["']|repo_id\s*=\s*["'])([\w.-]{1,96}/[\w.-]{1,96})(?=[\s"']|$)"""
)
_MAX_COMMAND = 65536  # characters of one command that are searched
_HOST = re.compile(r"https?://([a-z0-9][a-z0-9.-]{0,252})(?![\w.$-])")
_SHARED = ("bench", "benchmark", "benchmarks", "perf")  # folders whose benchmarks are for those beside them
_PORT = 8000  # of the Service that the operator creates for a frontend


@check("perf.endpoint", title="Benchmarks target a graph of the recipe")
def endpoint(recipes: Recipes) -> Iterator[Result]:
    """The operator names a frontend's Service `<graph>-<component>`, in lower case, with port 8000.

    A benchmark measures a graph of its own folder, or of the recipe if its folder has none; one in a perf/
    between the folders of several models a graph of these. With the name of another Service it waits until
    its deadline, or measures another deployment. Services and Gateways that the recipe contains or names are
    accepted; hosts outside the cluster are not judged. Metrics are read from Services too: a pod's name alone
    is in no DNS.

    Fix: set the endpoint to <graph>-<component>:8000
    """
    applies = False
    for recipe in recipes:
        for benchmark in recipe.benchmarks:
            graphs = [g for g in recipe.graphs if benchmark.is_beside(g)] or recipe.graphs
            services = [name for graph in graphs for name in graph.services]
            target = benchmark.endpoint
            applies = applies or bool(services)
            if services and target is not None and target.value:
                yield judged(1, "benchmarks")
                yield from _check_target(benchmark, target, target.value, services, _find_gateways(recipe))
            elif services:
                yield _describe_unjudged(benchmark, "where it sends its load cannot be read from the recipe")
            elif target is not None and target.value and (near := _list_near_services(recipes, recipe)):
                applies = True
                yield judged(1, "benchmarks")
                yield from _check_target(benchmark, target, target.value, near, set())
            if services:
                yield from _check_metrics(benchmark, graphs, _find_gateways(recipe))
    if not applies:
        raise Skip("no benchmark, or no graph with a frontend")


def _list_near_services(recipes: Recipes, recipe: Recipe) -> list[str]:
    """The Services of the graphs in the folders beside a recipe without any, such as a shared perf/."""
    above, _, name = recipe.path.rstrip("/").rpartition("/")
    if recipe.graphs or not above or name not in _SHARED:
        return []
    near = [other for other in recipes if other.path.startswith(f"{above}/")]
    return [*dict.fromkeys(name for other in near for graph in other.graphs for name in graph.services)]


def _check_metrics(benchmark: Benchmark, graphs: Sequence[Graph], others: set[str]) -> Iterator[Finding]:
    """Reports the hosts of metrics that no Service has."""
    services = {f"{graph.name}-{each.name.lower()}" for graph in graphs for each in graph.components}
    for variable in benchmark.container.env:
        urls = (variable.value or "") if variable.name.endswith(("METRICS_URLS", "METRICS_URL")) else ""
        hosts = [match[1] for match in _HOST.finditer(urls) if "." not in match[1]]
        unknown = [host for host in hosts if host not in services | others]
        if unknown:
            yield warn(
                f"{benchmark.name} reads metrics from {', '.join(unknown)}: the graph has no such Service",
                fix="kubectl get service, and name one of them",
                location=Location(benchmark.file, variable.line, variable.column),
            )


def _describe_unjudged(benchmark: Benchmark, why: str, place: EnvVar | Word | None = None) -> Unjudged:
    at = place or benchmark
    return unjudged(benchmark.name, why=why, location=Location(benchmark.file, at.line, at.column))


def _find_gateways(recipe: Recipe) -> set[str]:
    """The names of Services and Gateways that may route to a graph; Istio appends its class to Gateways'."""
    own = {m.name for m in recipe.manifests if m.kind in ("Service", "Gateway")}
    parents = {
        parent.text or ""
        for m in recipe.manifests
        if m.kind == "HTTPRoute"
        for references in m.root.find_all("parentRefs")
        for reference in references.sequence
        if (parent := reference.get("name")) is not None
    }
    return own | parents | {f"{gateway}-istio" for gateway in own | parents}


def _is_outside(host: str) -> bool:
    """Whether a host is outside the cluster, not the name of a Service."""
    labels = host.split(".")
    local = host.startswith("127.") or (len(labels) > 2 and labels[2] == "svc")
    return not local and (len(labels) > 2 or ":" in host)


def _check_target(
    benchmark: Benchmark, target: EnvVar, value: str, services: list[str], gates: set[str]
) -> Iterator[Finding]:
    place = Location(benchmark.file, target.line, target.column)
    fix = set_argument(target.name, f"{services[0]}:{_PORT}")
    try:
        url = urlsplit(value if "://" in value else f"//{value}")
        host, port = url.hostname or "", url.port
    except ValueError:
        yield fail(
            f"{benchmark.name} sends its load to {value!r}, which is not a valid address",
            fix=fix,
            location=place,
        )
        return
    if host.partition(".")[0] in gates or _is_outside(host):
        return
    if host.partition(".")[0] not in services:
        yield fail(
            f"{benchmark.name} sends its load to {host}, the graph's Service is {' or '.join(services)}",
            fix=fix,
            location=place,
        )
    elif port is not None and port != _PORT:
        yield fail(
            f"{benchmark.name} sends its load to port {port}, the Service of a frontend listens on {_PORT}",
            fix=fix,
            location=place,
        )


@check("perf.limits", title="dynocheck.dev/limits annotations are valid")
def limits(recipes: Recipes) -> Iterator[Finding]:
    """The annotation `dynocheck.dev/limits` of a DynamoGraphDeployment has its service-level objectives, in
    the syntax of `--limit`. `dynocheck smoke` and `dynocheck load` enforce them, but cannot enforce one that
    they cannot parse.

    Fix: dynocheck.dev/limits: ttft.p95=500ms, error_rate=0
    """
    annotated = [(graph, graph.limits) for recipe in recipes for graph in recipe.graphs if graph.limits]
    if not annotated:
        raise Skip(f"no graph has the annotation {LIMITS_ANNOTATION}")
    for graph, word in annotated:
        for misread in parse_annotation(word.text or "", LIMITS_ANNOTATION).misread:
            yield fail(
                f"graph {graph.name}: {misread}",
                fix="write it like ttft.p95=500ms or error_rate=0",
                location=Location(graph.file, word.line, word.column),
            )


_GPU_COUNTS = ("DEPLOYMENT_GPU_COUNT", "GPU_COUNT", "NUM_GPUS", "TOTAL_GPUS")
_TOTALS = ("TOTAL_CONCURRENCY", "CONCURRENCY")
_PER_GPU = "CONCURRENCY_PER_GPU"


@check("perf.gpu-count", title="Benchmark GPU counts match the graph")
def gpu_count(recipes: Recipes) -> Iterator[Result]:
    """A benchmark multiplies its concurrency by the number of GPUs, and divides throughput by it. With a
    wrong number the load is too high or too low, and every result per GPU is wrong.

    The right number is that of the graph under load: replicas times nodes times GPUs, over all components.
    If the number or the graph is unknown, the benchmark is not judged.

    Fix: set DEPLOYMENT_GPU_COUNT to the GPUs of the graph
    """
    applies = False
    for recipe in recipes:
        for benchmark in recipe.benchmarks:
            graph = _find_graph(recipe, benchmark)
            variable = next((v for n in _GPU_COUNTS if (v := benchmark.container.find_variable(n))), None)
            if variable is None:
                continue
            applies = True
            number = parse_count(variable.value)
            if number is None:
                yield _describe_unjudged(benchmark, f"{variable.name} is no number in the recipe", variable)
            elif graph is None or graph.gpus is None:
                yield _describe_unjudged(benchmark, "the GPUs of the graph under load are unknown", variable)
            else:
                yield judged(1, "benchmarks")
                yield from _check_count(benchmark, graph, variable, number)
    if not applies:
        raise Skip("no benchmark with a GPU count")


def _find_graph(recipe: Recipe, benchmark: Benchmark) -> Graph | None:
    """The graph at its endpoint, or without an endpoint that of its folder; None if that is ambiguous."""
    beside = [graph for graph in recipe.graphs if benchmark.is_beside(graph)]
    candidates = benchmark.find_targets(recipe.graphs) or ([] if benchmark.service else beside)
    sizes = {graph.gpus for graph in candidates}
    return candidates[0] if candidates and len(sizes) == 1 else None


def _check_count(benchmark: Benchmark, graph: Graph, variable: EnvVar, number: int) -> Iterator[Finding]:
    if number != graph.gpus:
        parts = {c.name: c.replicas * c.nodes * (c.gpus or 0) for c in graph.components if c.gpus}
        yield warn(
            f"{benchmark.name} counts {number} GPUs, graph {graph.name} has {graph.gpus}",
            fix=set_variable(variable.name, graph.gpus),
            evidence=parts,
            location=Location(benchmark.file, variable.line, variable.column),
        )
    per_gpu = benchmark.container.find_variable(_PER_GPU)
    total = next((v for n in _TOTALS if (v := benchmark.container.find_variable(n))), None)
    factor, product = (parse_count(v.value) if v is not None else None for v in (per_gpu, total))
    if total is not None and factor is not None and product is not None and product != factor * number:
        yield warn(
            f"{benchmark.name} sets {total.name}={product}, but {_PER_GPU}={factor} "
            f"times {number} GPUs is {factor * number}",
            fix=set_variable(total.name, factor * number, "or unset it"),
            location=Location(benchmark.file, total.line, total.column),
        )


_MAX_PATH = 4096
_CACHED = re.compile(r"(?:^|/)models--([^/]+)--([^/]+)(?:/snapshots/([^/]+))?")


@check("perf.tokenizer", title="Benchmarks use the tokenizer of their model")
def tokenizer(recipes: Recipes) -> Iterator[Result]:
    """A load generator counts the tokens of prompts and answers with a tokenizer of its own. Another model's
    tokenizer gives other counts; a missing one ends the run before it starts.

    Its hub id is compared with the models that the workers load and the recipe downloads; of a path in a hub
    cache the id, the revision and the mount are judged.

    Fix: --tokenizer MODEL
    """
    applies = False
    for recipe in recipes:
        known = {d.model for d in recipe.downloads if d.model}
        known |= {
            model for graph in recipe.graphs for engine in find_instances(graph) if (model := engine.model)
        }
        for benchmark in recipe.benchmarks:
            for word in (word for command in benchmark.commands for word in _find_tokenizers(command)):
                applies = True
                if word.text and known:
                    yield judged(1, "benchmarks")
                    yield from _check_tokenizer(recipe, benchmark, word, word.text, known)
                else:
                    why = "the recipe's models are unknown" if word.text else "its tokenizer cannot be read"
                    yield _describe_unjudged(benchmark, why, word)
    if not applies:
        raise Skip("no benchmark sets its tokenizer")


def _find_tokenizers(command: tuple[Word, ...]) -> Iterator[Word]:
    for i, word in enumerate(command):
        name, equals, value = (word.text or "").partition("=")
        if name == "--tokenizer" and equals:
            yield Word(value, word.line, word.column)
        elif name == "--tokenizer" and i + 1 < len(command):
            yield command[i + 1]


def _find_makers(benchmark: Benchmark, word: Word, path: str) -> list[str]:
    """The commands of the script before this word that mention the path, and may write it."""
    before = (each for each in benchmark.commands if each and each[-1].line < word.line)
    texts = (" ".join(word.text or "" for word in each) for each in before)
    return [text for text in texts if path in text]


def _is_own(benchmark: Benchmark, download: Download) -> bool:
    """Whether the container of a benchmark downloads this itself: that tells nothing of what is served."""
    place = benchmark.container.line, benchmark.container.column
    return download.file == benchmark.file and (download.container.line, download.container.column) == place


def _find_source(makers: Sequence[str]) -> str | None:
    """The hub id of the one model whose tokenizer these commands store; None if unknown or several."""
    found = {match[1] for text in makers for match in _STORED.finditer(text[:_MAX_COMMAND])}
    return found.pop() if len(found) == 1 else None


def _has_same_base(model: str, known: set[str]) -> bool:
    """Whether a model or its quantised form is known: quantising keeps the tokenizer."""
    return strip_precision(model) in map(strip_precision, known) or model in known


def _check_tokenizer(
    recipe: Recipe, benchmark: Benchmark, word: Word, text: str, known: set[str]
) -> Iterator[Finding]:
    place = Location(benchmark.file, word.line, word.column)
    cached = _CACHED.search(text[:_MAX_PATH])
    model = f"{cached[1]}/{cached[2]}" if cached else text
    makers = _find_makers(benchmark, word, text) if text.startswith("/") else []
    if makers:
        model = _find_source(makers) or model
        own = {d.model for d in recipe.downloads if _is_own(benchmark, d)}
        known = known - own or known
    if text.startswith("/") and benchmark.container.find_mount(text) is None and not makers:
        yield fail(
            f"{benchmark.name} reads its tokenizer from {text}, where nothing is mounted",
            fix="mount the claim with the tokenizer, or use the model's hub id",
            location=place,
        )
    elif model.count("/") == 1 and not model.startswith(("/", ".")) and not _has_same_base(model, known):
        yield warn(
            f"{benchmark.name} counts tokens with {model}, the recipe serves {', '.join(sorted(known))}",
            fix=replace_words(text, sorted(known)[0]),
            location=place,
        )
    elif cached and cached[3]:
        pinned = {d.revision for d in recipe.downloads if d.model == model}
        if pinned and None not in pinned and cached[3] not in pinned:
            yield fail(
                f"{benchmark.name} reads its tokenizer from revision {cached[3]}, "
                f"the recipe downloads {', '.join(sorted(map(str, pinned)))}",
                fix=replace_words(text, model),
                location=place,
            )
