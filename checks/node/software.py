"""Engines and the transfer library beside Dynamo."""

from collections.abc import Iterator

from dynocheck import Finding, Row, Skip, check, fail, table, unjudged, warn
from dynocheck.checks.node._release import find_wanted_release
from dynocheck.core.outcomes import Result
from dynocheck.data.flags import engine_versions
from dynocheck.facts import NodePackages, NodeRequest

_ENGINES = ("sglang", "tensorrt-llm", "vllm")
_TRANSFER = ("nixl", "nixl-cu12", "nixl-cu13")


@check("node.engine-importable", title="Installed engines have their modules")
def engine_importable(packages: NodePackages) -> Iterator[Finding]:
    """An engine whose metadata is there and whose module is not was installed by half. Nothing is imported.

    Fix: pip install --force-reinstall PACKAGE
    """
    found = [package for package in packages.items if package.name in _ENGINES]
    if not found:
        raise Skip("no engine is installed beside dynocheck")
    for package in found:
        if package.module is None:
            yield fail(
                f"{package.name} {package.version} has no module",
                fix=f"pip install --force-reinstall {package.name}=={package.version}",
            )


@check("node.engine-versions", title="Engines have the versions of the Dynamo release")
def engine_versions_match(packages: NodePackages, request: NodeRequest) -> Iterator[Result]:
    """A release of Dynamo is made and tested with one version of each engine; with another, its options and
    its KV events may differ. The release is that of --release, else the installed one.

    Fix: install the engine's version of the release, or the release for the engine
    """
    release = find_wanted_release(packages, request)
    found = [package for package in packages.items if package.name in _ENGINES]
    if not found or release is None:
        raise Skip("no engine is installed" if not found else "no release of Dynamo is named or installed")
    try:
        versions = engine_versions(release)
    except KeyError:
        yield unjudged(f"Dynamo {release}", why="no table of its engines", needs="--release of a known one")
        return
    for package in found:
        wanted = versions.get(package.name)
        if wanted and package.version.partition("+")[0] != wanted:
            yield warn(
                f"{package.name} {package.version}; Dynamo {release} is made with {wanted}",
                fix=f"pip install {package.name}=={wanted}",
            )


@check("node.nixl", title="NIXL is installed beside the engine")
def nixl(packages: NodePackages) -> Iterator[Finding]:
    """Disaggregated workers hand over KV cache with NIXL.

    Fix: pip install nixl
    """
    if packages.find("ai-dynamo") is None or not any(packages.find(name) for name in _ENGINES):
        raise Skip("no Dynamo with an engine is installed beside dynocheck")
    found = [package for name in _TRANSFER if (package := packages.find(name))]
    if not found:
        yield warn("NIXL is not installed: disaggregation cannot run", fix="pip install nixl")
    elif not any(package.module for package in found):
        yield fail(
            f"{found[0].name} {found[0].version} has no module", fix="pip install --force-reinstall nixl"
        )


@table("node.software", title="Installed software")
def software(packages: NodePackages) -> Iterator[Row]:
    """A row a package or library."""
    for package in packages.items:
        yield {"name": package.name, "version": package.version}
    for name, version in packages.libraries.items():
        yield {"name": name, "version": version}
