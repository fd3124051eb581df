"""Driver and CUDA against what Dynamo and torch need."""

import re
from collections.abc import Iterator

from dynocheck import Skip, check, fail, unjudged, warn
from dynocheck.checks.node._ladder import require_gpus
from dynocheck.checks.node._release import find_wanted_release
from dynocheck.core.outcomes import Result
from dynocheck.data.gpus import gpu_type
from dynocheck.data.images import CudaToolkit, cuda_toolkit, engine_images, find_newest_release
from dynocheck.facts import NodeEnvironment, NodeGpus, NodePackages, NodeRequest

_MINOR = "it may run by CUDA minor version compatibility, with limits"
_TORCH_CUDA = re.compile(r"\+cu(\d{2})(\d)")  # 2.9.1+cu130
_FORWARD = "it may run by the CUDA forward compatibility package of the image"


@check("node.driver-floor", title="The GPU driver is new enough for Dynamo")
def driver_floor(gpus: NodeGpus, packages: NodePackages, request: NodeRequest) -> Iterator[Result]:
    """Each release of Dynamo documents the driver branch that the CUDA in its images needs. With an older one
    the engine does not start, except where NVIDIA documents compatibility. The release is that of --release,
    else the installed one, else the newest.

    Fix: upgrade the driver, or take an older release of Dynamo
    """
    require_gpus(gpus)
    branch = (gpus.driver or "").partition(".")[0]
    if not branch.isdigit():
        yield unjudged("the driver", why="NVML does not tell its version")
        return
    named = find_wanted_release(packages, request)
    release = named or find_newest_release()
    rows = [row for row in engine_images() if row.release == release]
    if not rows:
        yield unjudged(f"Dynamo {release}", why="no table of its images", needs="--release of a known one")
        return
    row = min(rows, key=lambda row: row.driver)
    if int(branch) < row.driver:
        toolkits = [toolkit for row in rows if (toolkit := cuda_toolkit(row.cuda))]
        compatibility = _find_compatibility(gpus, int(branch), toolkits)
        older = None if named else find_newest_release(branch=int(branch))
        yield (warn if compatibility or older else fail)(
            f"driver {gpus.driver} is older than {row.driver}, which Dynamo {release} needs (CUDA {row.cuda})"
            + (f": {compatibility}" if compatibility else ""),
            fix=f"upgrade the driver to branch {row.driver}" + (f", or take Dynamo {older}" if older else ""),
            evidence={"driver": gpus.driver, "wanted": row.driver, "source": row.source},
        )


def _find_compatibility(gpus: NodeGpus, branch: int, toolkits: list[CudaToolkit]) -> str:
    """How one of the toolkits may run on an older driver; empty when none can."""
    if any(branch >= toolkit.minor for toolkit in toolkits):
        return _MINOR
    kinds = [gpu_type(gpu.name.replace(" ", "-")) for gpu in gpus.usable]
    forward = any(branch in toolkit.forward for toolkit in toolkits)
    return _FORWARD if forward and all(kind is None or kind.data_center for kind in kinds) else ""


@check("node.cuda-consistent", title="The installed CUDA runtime fits the driver")
def cuda_consistent(gpus: NodeGpus, packages: NodePackages, environment: NodeEnvironment) -> Iterator[Result]:
    """Engines bring a CUDA runtime of their own, by a package, by torch or with their image. One of a newer
    major than the driver's does not start, unless the image has NVIDIA's forward compatibility package and
    the GPUs are of a data center. A newer minor runs by compatibility, except for kernels that are compiled
    on the spot.

    Fix: upgrade the driver, or install packages for the driver's CUDA
    """
    require_gpus(gpus)
    runtimes = dict(_list_runtimes(packages, environment))
    if not runtimes or gpus.cuda is None:
        raise Skip("no CUDA runtime is installed")
    allowed = _parse(gpus.cuda)
    for needed, name in runtimes.items():
        if needed <= allowed:
            continue
        message = f"{name} is newer than CUDA {gpus.cuda} of driver {gpus.driver}"
        fix = f"upgrade the driver, or install packages for CUDA {gpus.cuda}"
        if needed[0] == allowed[0]:
            yield warn(message, fix=fix)
        elif "CUDA forward compatibility" not in packages.libraries:
            yield fail(message, fix=fix)
        else:
            yield _judge_forward(gpus, needed, message, fix)


def _list_runtimes(
    packages: NodePackages, environment: NodeEnvironment
) -> Iterator[tuple[tuple[int, int], str]]:
    """The versions of CUDA that are installed, each with the last of those that have it."""
    if version := environment.items.get("CUDA_VERSION"):
        yield _parse(version), f"CUDA {version} of the image"
    for package in packages.items:
        if package.name.startswith("nvidia-cuda-runtime"):
            yield _parse(package.version), f"{package.name} {package.version}"
        elif package.name == "torch" and (found := _TORCH_CUDA.search(package.version)):
            yield (int(found[1]), int(found[2])), f"torch {package.version}"


def _judge_forward(gpus: NodeGpus, needed: tuple[int, int], message: str, fix: str) -> Result:
    """A runtime of a newer major in an image that has the forward compatibility package."""
    cuda, branch = "{}.{}".format(*needed), (gpus.driver or "").partition(".")[0]
    toolkit = cuda_toolkit(cuda)
    if toolkit is None or not branch.isdigit():
        return unjudged(message, why="no table of the drivers with which this CUDA is forward compatible")
    found = _find_compatibility(gpus, int(branch), [toolkit])
    return (warn if found else fail)(message + (f": {found}" if found else ""), fix=fix)


def _parse(version: str) -> tuple[int, int]:
    major, _, rest = version.partition(".")
    minor = rest.partition(".")[0]
    return int(major) if major.isdigit() else 0, int(minor) if minor.isdigit() else 0
