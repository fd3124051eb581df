"""Checks the layout of a recipe folder and the content of its files."""

import difflib
import posixpath
import re
from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, check, fail, unjudged, unknown, warn
from dynocheck.core.outcomes import Unjudged
from dynocheck.engines import detect_engine
from dynocheck.facts import (
    Component,
    Container,
    Graph,
    Manifest,
    PodTemplate,
    Recipe,
    Recipes,
    Role,
    SourceFile,
    list_pod_templates,
)

_CACHE = "model-cache"
# Groups whose kinds deploy no engine, but for the kinds of a graph.
_DEPLOYS_NOTHING = ("k8s.io", "nvidia.com", "monitoring.coreos.com", "cert-manager.io", "external-secrets.io")
_FRAMEWORKS = ("vllm", "sglang", "trtllm")
_OTHER_SPELLINGS = {"tensorrt-llm": "trtllm", "tensorrtllm": "trtllm", "trt-llm": "trtllm", "sgl": "sglang"}
_DYNAMO = ("DynamoGraphDeployment", "DynamoGraphDeploymentRequest", "DynamoComponentDeployment")
_DEPLOYED = (*_DYNAMO, "Deployment", "StatefulSet", "Pod")
_KUSTOMIZE = {"Kustomization", "Component", ""}
# Kinds of which a controller makes what it deploys, elsewhere than in their own fields.
_CONTROLLERS = {
    ("argoproj.io", "Application"): "Argo CD",
    ("argoproj.io", "ApplicationSet"): "Argo CD",
    ("helm.toolkit.fluxcd.io", "HelmRelease"): "Flux",
    ("kustomize.toolkit.fluxcd.io", "Kustomization"): "Flux",
    ("helm.cattle.io", "HelmChart"): "K3s",
}
_SERVING = {*_DEPLOYED, "DaemonSet", "LeaderWorkerSet"}
# The expected content of a file by the beginning of its name, and the kinds of object that it may be.
# A request for a graph names the claim that its model is in.
_CLAIMS = ("PersistentVolumeClaim", "PersistentVolume", "DynamoGraphDeploymentRequest")
_EXPECTED = {
    "deploy": ("a graph", _DEPLOYED),
    "perf": ("a load test", ("Job", "CronJob", "Pod", "Deployment", "ConfigMap")),
    "model-download": ("a download Job", ("Job", "CronJob", "Pod")),
    "model-cache": ("a claim", _CLAIMS),
    "cache": ("a claim", _CLAIMS),
}
_HOLLOW = {
    "pointer": ("is a Git LFS pointer: its content was not fetched", "git lfs pull"),
    "dangling": ("is a broken symlink", "commit the link's target, or delete the link"),
    "empty": ("is empty", "add its content, or delete it"),
}
_HUB_CACHE = "/.cache"  # of Hugging Face, in the home folder of whoever runs the image
_FETCHES = re.compile(
    r"\b(aws|az|azcopy|curl|git|gsutil|gcloud|huggingface_hub|mc|modelexpress|modelscope|ngc|oras|rclone|rsync|s5cmd"
    r"|tar|wget)\b"
)
_TEMPLATE = "helm template CHART > rendered.yaml && dynocheck recipe rendered.yaml"
_RENDER = "kubectl kustomize OVERLAY > rendered.yaml && dynocheck recipe rendered.yaml"
_MAY_BE_EMPTY = ("__init__.py", "py.typed")


def _lacks_claim(cause: Finding, effect: Finding) -> bool:
    """The cache has no claim, and its download mounts one that must already exist."""
    return "PersistentVolumeClaim" in effect.message


@check(
    "structure.layout",
    title="Folder has the layout of a recipe",
    explained_by={"storage.claim-declared": _lacks_claim},
)
def layout(recipes: Recipes) -> Iterator[Finding]:
    """A model's folder contains `model-cache/`, with a claim and a Job that fills it, and one folder per
    variant (`<framework>/<mode>/`) with a DynamoGraphDeployment.

    The folder of a model or a variant must deploy something; other folders, such as those of load tests or
    Secrets, are not recipes. Without a cache, each pod downloads the weights. If Helm creates the graph, or
    kustomize does and is not installed, only its rendered output can be judged.

    Fix: put the graph in <framework>/<mode>/deploy.yaml, claim and download Job in model-cache/
    """
    judged = False
    has_objects = any(each.kind or each.api_version for recipe in recipes for each in recipe.manifests)
    for recipe in recipes:
        if recipe.shape in ("index", "manifests") and not any(
            f.role is Role.KUSTOMIZE for f in recipe.own_files
        ):
            continue
        findings = [*_check_deployment(recipe, has_objects=has_objects)]
        if recipe.shape == "model" and not _has_unread(recipe):
            findings += _check_cache(recipe)
        judged = judged or bool(findings) or recipe.shape == "model" or _is_variant(recipe)
        yield from findings
    if not judged:
        raise Skip("no folder of a model or of a variant")


def _check_deployment(recipe: Recipe, *, has_objects: bool) -> Iterator[Finding]:
    """Reports a folder that deploys nothing.

    :param has_objects: whether the run has a Kubernetes object: beside it, a folder may hold only settings.
    """
    if _has_unread(recipe) or any(part.missing for part in recipe.unread):
        return  # that may be the graph
    if {manifest.kind for manifest in recipe.manifests} & _SERVING:
        return
    helm = next((part for part in recipe.unread if part.chart), None)
    rendered = any(file.rendered for file in recipe.own_files)
    if helm or (not rendered and any(file.role is Role.KUSTOMIZE for file in recipe.own_files)):
        tool = "Helm" if helm else "kustomize"
        tried = next(
            (part for part in recipe.unread if part.what.startswith(f"the output of {tool}, ")), None
        )
        reason = f": {tool} {tried.what.partition(', which ')[2]}" if tried else ""
        yield unknown(
            f"the output of {tool} was not judged, and nothing else in the folder is deployed{reason}",
            fix=_TEMPLATE if helm else _RENDER,
            location=Location(tried.file) if tried else _locate_unrendered(recipe),
        )
        return
    models_alone = bool(recipe.triton_models) and not any(recipe.own_files)
    if models_alone or any(_may_deploy(manifest) for manifest in recipe.manifests):
        return
    if rendered and not any(recipe.manifests):
        made = next(file for file in recipe.own_files if file.rendered)
        yield unknown(
            "what is rendered has no object: the values that are given switch all of it off",
            fix="helm template CHART -f VALUES > rendered.yaml && dynocheck recipe rendered.yaml",
            location=Location(made.path),
        )
        return
    is_recipe = recipe.shape == "model" or _is_variant(recipe)
    values = next(filter(_has_values, recipe.own_files), None)
    if values is not None and not is_recipe and not has_objects:
        yield unknown(
            "values of a chart: without the chart there is nothing that is deployed",
            fix=f"helm template CHART -f {values.path} > rendered.yaml && dynocheck recipe rendered.yaml",
            location=Location(values.path),
        )
        return
    if is_recipe or not has_objects or not any(recipe.manifests):
        yield fail(
            "the folder deploys nothing: no DynamoGraphDeployment in any of its files",
            fix="add a deploy.yaml in <framework>/<mode>/",
            location=_locate(recipe),
        )


def _may_deploy(manifest: Manifest) -> bool:
    """Whether an object is of another operator's kind, of which that operator may make anything."""
    return "." in manifest.group and not manifest.group.endswith(_DEPLOYS_NOTHING)


def _has_values(file: SourceFile) -> bool:
    """Whether a file without an object names images as the values of charts do: repository and tag apart."""
    roots = [root for root in file.documents if not root.get("kind")]
    return any(any(root.find_all("repository")) and any(root.find_all("tag")) for root in roots)


def _has_unread(recipe: Recipe) -> bool:
    """Whether a file does not parse, or a link leads to what is not read: either may hold anything."""
    outside = any(hollow.why == "outside" for hollow in recipe.hollow)
    return outside or any(file.problems for file in recipe.own_files)


def _locate_unrendered(recipe: Recipe) -> Location:
    """The chart or the kustomization whose output was not judged."""
    files = [part.file for part in recipe.unread if part.chart]
    files += [file.path for file in recipe.own_files if file.role is Role.KUSTOMIZE]
    return Location(files[0])


def _is_variant(recipe: Recipe) -> bool:
    """Whether a folder deploys something, or is in the folder of a framework."""
    deploys = {manifest.kind for manifest in recipe.manifests} & _SERVING
    return bool(deploys) or not {*_FRAMEWORKS}.isdisjoint(recipe.path.split("/"))


def _check_cache(recipe: Recipe) -> Iterator[Finding]:
    if _CACHE not in recipe.folders:
        if not any(_keeps_weights(c) for graph in recipe.deployments for c in graph.components):
            yield warn(
                f"no {_CACHE}/: each pod downloads the weights",
                fix=f"add {_CACHE}/ with a PersistentVolumeClaim and a download Job",
                location=_locate(recipe),
            )
        return
    cache = _locate(recipe, _CACHE)
    if not recipe.claims:
        yield warn(f"no PersistentVolumeClaim in {_CACHE}/", fix="add model-cache.yaml", location=cache)
    if not (
        recipe.downloads or any(_fills_cache(template, recipe) for template in list_pod_templates(recipe))
    ):
        yield warn(
            f"no Job in {_CACHE}/ downloads a model",
            fix="add model-download.yaml",
            location=cache,
        )


def _keeps_weights(component: Component) -> bool:
    """Whether a container mounts a claim where a hub cache is, or one of its arguments or variables is."""
    return any(
        mount.source == "claim"
        and (_HUB_CACHE in mount.path or any(text.startswith(mount.path) for text in _list_texts(container)))
        for container in component.containers
        for mount in container.mounts
        if mount.path.strip("/")
    )


def _list_texts(container: Container) -> list[str]:
    """The values of a container's variables and the arguments of its engines, as far as they are known."""
    words = (word.text for launch in container.launches for word in launch.words)
    return [text for text in (*(variable.value for variable in container.env), *words) if text]


def _locate(recipe: Recipe, folder: str = "") -> Location:
    """The first file of a recipe, or in a folder of it: readers of reports open files, and no folders."""
    start = posixpath.normpath(posixpath.join(recipe.path, folder)).removesuffix(".")
    paths = [file.path for file in recipe.own_files]
    inside = (path for path in paths if folder and path.startswith(f"{start}/"))
    return Location(next(inside, paths[0] if paths else recipe.path))


def _fills_cache(template: PodTemplate, recipe: Recipe) -> bool:
    """Whether a workload in model-cache/ downloads a model from elsewhere than the hub."""
    beside = template.manifest.file.rpartition("/")[0] == f"{recipe.path}/{_CACHE}"
    words = (w for c in template.containers for key in ("command", "args") for w in c.get_items(key))
    return beside and _FETCHES.search(" ".join(word.text or "" for word in words)) is not None


@check("structure.framework", title="Graphs are in the folder of their framework")
def framework(recipes: Recipes) -> Iterator[Finding]:
    """People and scripts select a variant by its path, `<framework>/<mode>/`. An SGLang graph under `vllm/`
    is measured and reported as vLLM, and a folder with a misspelled framework is overlooked.

    Paths without a framework are not judged.

    Fix: git mv the folder
    """
    judged = False
    for recipe in recipes:
        for graph in recipe.graphs:
            folders = graph.file.removeprefix(recipe.path).strip("/").split("/")[:-1]
            framework = next((folder for folder in folders if folder in _FRAMEWORKS), None)
            typo = None if framework else next(filter(None, map(_guess_framework, folders)), None)
            judged = judged or bool(framework or typo)
            if typo:
                yield _warn(graph, f"{typo[0]} is not the name of a framework", f"call it {typo[1]}")
            frameworks = _find_frameworks(graph)
            if framework and frameworks and framework not in frameworks:
                actual = " and ".join(sorted(frameworks))
                yield _warn(graph, f"the graph in folder {framework} runs {actual}", f"move it to {actual}/")
    if not judged:
        raise Skip("no graph in a folder named after a framework")


@check("structure.files", title="Each file has the expected kind")
def files(recipes: Recipes) -> Iterator[Finding | Unjudged]:
    """A Git LFS pointer instead of a trace, a link whose target was not committed, or a deploy.yaml without a
    graph exists, but does not work.

    Manifests are judged by their names: deploy*.yaml, perf*.yaml, model-download*.yaml, model-cache*.yaml
    and cache*.yaml; where nothing is of Dynamo, deploy.yaml and the like alone. A base, resource, component
    or patch that a kustomization names must be there, unless a command of a page makes it.

    Fix: git lfs pull, or commit the missing files
    """
    folders = [recipe for recipe in recipes if recipe.shape not in ("index", "manifests")]
    missing = [found for recipe in recipes for found in _check_missing(recipe)]
    if not folders and not missing:
        raise Skip("single manifests have no folder")
    yield from missing
    for recipe in folders:
        for hollow in recipe.hollow:
            if hollow.why == "outside":
                yield unjudged(
                    posixpath.basename(hollow.path),
                    why="a symbolic link that leads out of the repository",
                    needs="the file itself in the repository",
                    location=Location(hollow.path),
                )
                continue
            name = hollow.path.rpartition("/")[2]
            if name not in _MAY_BE_EMPTY and not (hollow.why == "dangling" and _is_manifest(name)):
                message, fix = _HOLLOW[hollow.why]
                needed = hollow.why != "empty" or _find_expected(name) is not None
                report = fail if _is_manifest(name) and needed else warn
                yield report(message, fix=fix, location=Location(hollow.path))
        hollow_paths = {hollow.path for hollow in recipe.hollow}
        of_dynamo = any(manifest.kind.startswith("Dynamo") for manifest in recipe.manifests)
        for file in recipe.own_files:
            if file.path not in hollow_paths:
                yield from _check_kinds(file, of_dynamo=of_dynamo)


def _check_missing(recipe: Recipe) -> Iterator[Finding]:
    """Reports what kustomizations name and is neither there nor made by a page's commands."""
    made = {posixpath.basename(path) for page in recipe.pages for path in page.made}
    names = [posixpath.basename(file.path) for file in recipe.files]
    made |= {name.replace(".tpl.", ".") for name in names if ".tpl." in name}  # a script fills it in
    for part in recipe.unread:
        if part.missing and posixpath.basename(part.what) not in made:
            yield fail(
                f"{part.what} is not there: kustomize ends at it",
                fix=f"commit {part.what}, or take it out of {posixpath.basename(part.file)}",
                location=Location(part.file, part.line, part.column),
            )


def _is_manifest(name: str) -> bool:
    return name.endswith((".yaml", ".yml"))


def _find_expected(name: str) -> tuple[str, tuple[str, ...]] | None:
    """What a file must contain by its name, and in which kinds of object."""
    stem = name.partition(".")[0].replace("_", "-")
    matching = (e for start, e in _EXPECTED.items() if stem == start or stem.startswith(f"{start}-"))
    return next(matching, None)


def _check_kinds(file: SourceFile, *, of_dynamo: bool) -> Iterator[Finding]:
    name = file.path.rpartition("/")[2].partition(".")[0].replace("_", "-")
    expected = _find_expected(name)
    if expected is None or file.problems or file.role is not Role.MANIFEST:
        return
    if name not in _EXPECTED and not of_dynamo:
        return  # elsewhere deploy-metrics.yaml may be anything
    what, kinds = expected
    if not any(manifest.kind in kinds for manifest in file.manifests):
        yield warn(
            f"is named {name} but contains no {what.partition(' ')[2]}",
            fix=f"add {what}, or rename the file",
            location=Location(file.path),
        )


def _guess_framework(folder: str) -> tuple[str, str] | None:
    """A folder's name and the framework that it misspells; None if it misspells none."""
    name = folder.lower()
    if name in _OTHER_SPELLINGS:
        return folder, _OTHER_SPELLINGS[name]
    if name not in _FRAMEWORKS and name.startswith(_FRAMEWORKS):  # such as vllm-fp8
        return None
    close = difflib.get_close_matches(name, _FRAMEWORKS, n=1, cutoff=0.8)
    return (folder, close[0]) if close else None


def _find_frameworks(graph: Graph) -> set[str]:
    """The frameworks whose engines a graph starts."""
    launches = [
        launch for c in graph.components for container in c.containers for launch in container.launches
    ]
    engines = [engine for launch in launches if (engine := detect_engine(launch)) is not None]
    return {engine.modules[0].rpartition(".")[2] for engine in engines}


def _warn(graph: Graph, message: str, fix: str) -> Finding:
    return warn(message, fix=fix, location=Location(graph.file, graph.line, graph.column))


@check("structure.read-whole", title="All files were read in full")
def read_whole(recipes: Recipes) -> Iterator[Finding | Unjudged]:
    """Only the beginning of unusually long scripts, comments and pages is read, to bound the run time, and
    nothing of Helm charts. The unread rest may be wrong, whatever the other checks report. What a
    kustomization names is judged by its rendered output: that in a folder above, else what kustomize, or
    kubectl, makes of it here, without the network.

    Fix: put a long script into the image or a file of its own, and split a file of many objects
    """
    for recipe in recipes:
        inputs = {file.path for file in recipe.own_files if file.role is Role.KUSTOMIZE}
        deploys = {manifest.kind for manifest in recipe.manifests} & _SERVING
        for part in recipe.unread:
            if part.missing or (part.chart and not recipe.graphs) or (part.file in inputs and not deploys):
                continue  # structure.files or structure.layout reports it
            if part.file.endswith("Chart.yaml") and not part.chart:
                yield unjudged(
                    part.what,
                    why="it is not in what helm renders",
                    needs="helm template CHART -f VALUES > rendered.yaml && dynocheck recipe rendered.yaml",
                    location=Location(part.file),
                )
                continue
            shorten = "shorten it, or move it into a file of its own"
            yield warn(
                f"not read: {part.what}",
                fix=_TEMPLATE if part.chart else _RENDER if part.file in inputs else shorten,
                location=Location(part.file, part.line, part.column),
            )
        yield from _list_made_elsewhere(recipe)
        rendered = any(file.rendered for file in recipe.own_files)
        if not rendered and deploys:  # else structure.layout reports it
            yield from _check_unrendered(recipe)


def _list_made_elsewhere(recipe: Recipe) -> Iterator[Unjudged]:
    """The objects of which a controller makes others, by a chart or a folder that is not in the recipe."""
    folders = {recipe.path, *recipe.folders}
    for manifest in recipe.own_manifests:
        controller = _CONTROLLERS.get((manifest.group, manifest.kind))
        path = posixpath.normpath(next((v.text or "" for v in manifest.root.find_all("path")), ".")).strip(
            "/"
        )
        if controller is None or (path != "." and any(f"/{f}".endswith(f"/{path}") for f in folders)):
            continue
        charts = manifest.root.find_all("chart")
        chart = next((value.text or value.get_text("spec", "chart") for value in charts), "")
        yield unjudged(
            f"{manifest.kind} {manifest.name}",
            why=f"{controller} makes its objects of {f'the chart {chart}' if chart else 'what is elsewhere'}",
            needs=_TEMPLATE if chart else _RENDER,
            location=Location(manifest.file, manifest.root.line, manifest.root.column),
        )


def _check_unrendered(recipe: Recipe) -> Iterator[Finding | Unjudged]:
    """Reports graphs and other objects that kustomize reads, without rendered output in a folder above."""
    rendered = {m.file.rpartition("/")[0] for m in recipe.manifests if m.kind in _SERVING}
    inputs = [file for file in recipe.own_files if file.role is Role.KUSTOMIZE]
    resources = {path for file in inputs for path in _list_resources(file)}
    for file in inputs:
        graph = next((m for m in file.manifests if m.kind == "DynamoGraphDeployment"), None)
        above = {file.folder[:end] for end, char in enumerate(file.folder) if char == "/"} | {""}
        if rendered & above:
            continue
        others = [m for m in file.manifests if m.kind not in _KUSTOMIZE and m is not graph]
        for manifest in others:
            yield unjudged(
                f"{manifest.kind} {manifest.name}",
                why="a kustomization names its file, and its output is not here",
                needs=_RENDER,
                location=Location(file.path, manifest.root.line, manifest.root.column),
            )
        if graph is not None and file.path in resources:
            yield warn(
                f"not read: graph {graph.name}, which kustomize changes before it is applied",
                fix=_RENDER,
                location=Location(file.path, graph.root.line, graph.root.column),
            )


def _list_resources(file: SourceFile) -> Iterator[str]:
    """The paths of a kustomization's resources, relative like those of files."""
    for root in file.documents:
        for resource in root.get_items("resources"):
            yield posixpath.normpath(posixpath.join(file.folder, resource.text or ""))
