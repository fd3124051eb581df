"""Whether the API server would take the files as they stand."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, check, fail, unknown, warn
from dynocheck.data import kubernetes_schemas
from dynocheck.facts import Recipes
from dynocheck.facts.k8s.definitions import GivenKinds, ServedKinds, ServerVersion
from dynocheck.facts.recipe.recipes import Manifest, Role


@check("manifest.yaml", title="Every file is YAML that kubectl reads")
def yaml(recipes: Recipes) -> Iterator[Finding]:
    """A file that does not parse is applied in part or not at all. Of a key that stands twice in one mapping
    kubectl silently takes the last, and kustomize refuses the file. kubectl reads UTF-16 too, where the file
    begins with its mark, and puts a replacement for bytes that are no UTF-8; hardly another tool does.

    Fix: kubectl apply --dry-run=server -f FILE
    """
    for recipe in recipes:
        for file in recipe.own_files:
            for problem in file.problems:
                place = Location(file.path, problem.line, problem.column)
                if problem.fatal:
                    yield fail(problem.message, location=place)
                else:
                    yield warn(problem.message, fix=problem.fix, location=place)
            for document in file.documents:
                if not isinstance(document.data, dict) and file.role is Role.MANIFEST:
                    yield fail(
                        "a document that is no object: kubectl expects a mapping with apiVersion and kind",
                        location=Location(file.path, document.line, document.column),
                    )


@check("manifest.schema", title="Every manifest fits the schema of its kind")
def schema(
    recipes: Recipes,
    given: GivenKinds | None = None,
    served: ServedKinds | None = None,
    server: ServerVersion | None = None,
) -> Iterator[Finding]:
    """What the API server refuses: unknown fields, wrong types, missing or impossible values, broken rules in
    CEL, mounts without a volume, requests above their limit.

    Kubernetes' own kinds, Dynamo's, those of Gateway API and its inference extension, ComputeDomains and
    PodMonitors are known; another kind is a warning. With --crds or --cluster the definitions that are found
    there count for the kinds that they define. What Dynamo's webhooks refuse is looked at by
    manifest.admission.

    Kubernetes' own kinds are judged by the schemas of one release, which the report names as its target: with
    --cluster the cluster's own or, outside 1.30 to 1.37, the nearest of these; without a cluster the newest.

    Fix: kubectl apply --dry-run=server --validate=strict -f FILE
    """
    from dynocheck.schema import Definitions, validate  # schemas are read only here

    version = server.version if server is not None else ""
    definitions = Definitions([*(given or ()), *(served or ())], version)
    yield from _unread(served, server)
    judged = False
    for manifest in _list_manifests(recipes):
        judged = True
        place = Location(manifest.file, manifest.root.line, manifest.root.column)
        if not (manifest.kind and manifest.api_version):
            missing = "apiVersion" if manifest.kind else "kind"
            yield fail(f"an object without {missing}", location=place)
            continue
        violations = validate(manifest, definitions)
        if violations is None:
            yield warn(
                f"no schema for {manifest.kind} of {manifest.api_version} here: not judged",
                fix=f"kubectl apply --dry-run=server --validate=strict -f {manifest.file}",
                location=place,
            )
        for violation in violations or ():
            yield fail(
                f"{violation.path}: {violation.message}" if violation.path else violation.message,
                evidence=_judged_by(manifest, version),
                location=Location(manifest.file, violation.line, violation.column),
            )
    if not judged:
        raise Skip("no manifest that is applied as it stands")
    yield from _unsure(version)


def _unread(served: ServedKinds | None, server: ServerVersion | None) -> Iterator[Finding]:
    """What the cluster did not tell of its kinds."""
    if served is not None and served.reason:
        yield unknown(
            f"the cluster's own definitions could not be read: {served.reason}", fix="dynocheck rbac"
        )
    elif server is not None and server.reason:
        yield unknown(f"the cluster's version could not be read: {server.reason}", fix="kubectl version")


def _judged_by(manifest: Manifest, version: str) -> dict[str, str]:
    """By whose schema an object was judged, where it is of one of Kubernetes' own kinds."""
    from dynocheck.schema import served_versions

    own = manifest.api_version in served_versions(manifest.kind, kubernetes_schemas.choose(version))
    return {"schema": kubernetes_schemas.describe(version)} if own else {}


def _unsure(version: str) -> Iterator[Finding]:
    """What the server may see otherwise."""
    from dynocheck.schema import evaluates_rules

    if version and not kubernetes_schemas.knows(version):
        yield warn(
            f"the server is Kubernetes {version}: judged by {kubernetes_schemas.describe(version)}",
            fix="kubectl apply --dry-run=server --validate=strict -f FILE",
        )
    if not evaluates_rules():
        yield warn(
            "the rules in CEL of custom kinds were not evaluated: this Python has no cel-expr-python",
            fix="pip install cel-expr-python, where there is a build of it",
        )


def _list_manifests(recipes: Recipes) -> Iterator[Manifest]:
    """Every object that is applied as it stands. A mapping with neither kind nor apiVersion is another
    tool's file, such as a list of values.
    """
    for recipe in recipes:
        for file in recipe.own_files:
            if file.role is Role.MANIFEST:
                yield from (m for m in file.manifests if m.kind or m.api_version or _has_type_keys(m))


def _has_type_keys(manifest: Manifest) -> bool:
    return all(manifest.root.get(key) is not None for key in ("apiVersion", "kind"))
