"""Installed packages, by their metadata, and the environment."""

import re
from collections.abc import Iterable
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from dynocheck.core.declarations import probe
from dynocheck.facts import NodeEnvironment, NodePackage, NodePackages, NodeRoot
from dynocheck.probes.node._sysfs import read
from dynocheck.secrets import is_secret_name

_MODULES = {
    "ai-dynamo": "dynamo",
    "ai-dynamo-runtime": "dynamo",
    "nixl": "nixl",
    "nixl-cu12": "nixl",
    "nixl-cu13": "nixl",
    "libucx-cu12": "libucx",
    "libucx-cu13": "libucx",
    "nvidia-cuda-runtime": "nvidia",
    "nvidia-cuda-runtime-cu12": "nvidia",
    "nvidia-nccl-cu12": "nvidia",
    "nvidia-nccl-cu13": "nvidia",
    "sglang": "sglang",
    "tensorrt-llm": "tensorrt_llm",
    "torch": "torch",
    "vllm": "vllm",
}
_PLUGIN = re.compile(r"libplugin_([A-Z_]{1,40})\.so")
_LIBRARIES = {
    "CUDA forward compatibility": ("usr/local/cuda*/compat/libcuda.so.*.*",),
    "NCCL": ("usr/lib/*/libnccl.so.2.*", "usr/local/lib/libnccl.so.2.*", "usr/lib64/libnccl.so.2.*"),
    "UCX": (
        "usr/local/ucx/lib/pkgconfig/ucx.pc",
        "opt/hpcx/ucx/lib/pkgconfig/ucx.pc",
        "usr/lib/*/pkgconfig/ucx.pc",
    ),
}
_UCX_FOLDERS = ("usr/local/ucx/lib/ucx", "opt/hpcx/ucx/lib/ucx", "usr/lib/*/ucx")
_UCX_MODULE = re.compile(r"libuct_([a-z]{1,20})")
_VERSION = re.compile(r"(?:lib(?:nccl|cuda)\.so\.|\bVersion: )(\d{1,3}(?:\.\d{1,4}){1,3})")
_PREFIXES = ("CUDA_", "DYN_", "HF_", "NCCL_", "NIXL_", "NVIDIA_", "TRANSFORMERS_", "UCX_", "VLLM_NIXL_")


@probe()
def node_packages(root: NodeRoot) -> NodePackages:
    found: dict[str, NodePackage] = {}
    for name, module in _MODULES.items():
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        found[name] = NodePackage(name, version, module if find_spec(module) else None)
    libraries = {name: number for name in _LIBRARIES if (number := _find_library(root.path, name))}
    return NodePackages(
        items=tuple(found.values()),
        backends=tuple(sorted(_list_backends(root, found))),
        libraries=libraries,
        ucx=tuple(sorted(_list_ucx_modules(root.path, found))),
    )


def _list_ucx_modules(root: Path, packages: Iterable[str]) -> set[str]:
    """The modules of every UCX: of packages, which bring one of their own, and of the system."""
    names = [path.name for folder in _UCX_FOLDERS for path in root.glob(f"{folder}/libuct_*.so*")]
    bringing = [name for name in packages if name.startswith(("nixl", "libucx"))]
    names += [file.name for name in bringing for file in metadata.files(name) or ()]
    return {found[1] for name in names if (found := _UCX_MODULE.match(name))}


def _find_library(root: Path, name: str) -> str | None:
    """The version of a library, by the name of its file or by its pkg-config file."""
    for pattern in _LIBRARIES[name]:
        for path in sorted(root.glob(pattern)):
            text = read(path) if path.suffix == ".pc" else path.name
            if found := _VERSION.search(text):
                return found[1]
    return None


def _list_backends(root: NodeRoot, packages: Iterable[str]) -> set[str]:
    """The backends of NIXL: its plug-ins, of the packages and in NIXL_PLUGIN_DIR."""
    installed = (metadata.files(name) or () for name in packages if name.startswith("nixl"))
    names = [file.name for files in installed for file in files]
    if folder := root.environment.get("NIXL_PLUGIN_DIR"):
        names += [path.name for path in (root.path / folder.lstrip("/")).glob("libplugin_*.so")]
    return {found[1] for name in names if (found := _PLUGIN.fullmatch(name))}


@probe()
def node_environment(root: NodeRoot) -> NodeEnvironment:
    kept = {name: value for name, value in root.environment.items() if name.startswith(_PREFIXES)}
    return NodeEnvironment({name: "set" if is_secret_name(name) else kept[name] for name in sorted(kept)})
