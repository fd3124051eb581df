"""Installed packages, by their metadata, and the environment."""

import re
from collections.abc import Iterable
from importlib import metadata
from importlib.util import find_spec

from dynocheck.core.declarations import probe
from dynocheck.facts import NodeEnvironment, NodePackage, NodePackages, NodeRoot
from dynocheck.secrets import is_secret_name

_MODULES = {
    "ai-dynamo": "dynamo",
    "ai-dynamo-runtime": "dynamo",
    "nixl": "nixl",
    "nixl-cu12": "nixl",
    "nixl-cu13": "nixl",
    "nvidia-cuda-runtime": "nvidia",
    "nvidia-cuda-runtime-cu12": "nvidia",
    "sglang": "sglang",
    "tensorrt-llm": "tensorrt_llm",
    "torch": "torch",
    "vllm": "vllm",
}
_PLUGIN = re.compile(r"libplugin_([A-Z_]{1,40})\.so")
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
    return NodePackages(tuple(found.values()), tuple(sorted(_list_backends(root, found))))


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
