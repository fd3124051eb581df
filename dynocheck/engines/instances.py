"""The engines that a graph starts, with their containers and arguments."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dynocheck.data.flags import ImageRelease, find_release, is_former_flag
from dynocheck.data.models import find_model
from dynocheck.engines.arguments import Argument, Arguments
from dynocheck.engines.base import Engine
from dynocheck.engines.detection import detect_engine
from dynocheck.facts import Component, Container, EnvVar, Graph, IdentityCache, Launch

_AGGREGATED = ("agg", "pd", "prefill_and_decode", "null", "")
_ON = ("true", "1", "yes", "on")
_TRTLLM_BLOCK = 32  # KvCacheConfig.tokens_per_block; for MLA the engine chooses by GPU


@dataclass(frozen=True)
class EngineInstance:
    """An engine, the component and container that start it, and its arguments."""

    graph: Graph
    component: Component
    container: Container
    launch: Launch
    engine: Engine
    given: Arguments

    @property
    def model(self) -> str | None:
        """The model to load, as a hub id or a path; None if it is not set or unknown."""
        return self.engine.model(self.given)

    @property
    def served_name(self) -> str | None:
        """The served model name; None if unknown."""
        return self.engine.served_name(self.given)

    @property
    def name(self) -> str:
        return self.component.name

    @property
    def release(self) -> ImageRelease:
        """The release of Dynamo in its image; possible is empty if its flags are of none that is known."""
        release = find_release(self.container.image or "", self.container.runtime)
        words = ((word.text or "").partition("=")[0] for word in self.launch.words)
        if not (release.exact or release.near) and any(is_former_flag(self.launch.module, w) for w in words):
            return ImageRelease(None, None, ())
        return release

    def locate(self, *names: str) -> tuple[str, int, int]:
        """File, line and column of the first of these arguments that is set, else of the launch."""
        found = self.given.get(*names)
        if found is None:
            return self.graph.file, self.launch.line, self.launch.column
        return found.file, found.line, found.column

    def number(self, name: str) -> int | None:
        """An argument as a whole number; None if it is not set or not a number."""
        found = self.given.get(name)
        return found.integer if found is not None else None

    def get_nested(self, section: str, key: str) -> Any:
        """A value inside an argument that is a mapping or JSON; None if there is none."""
        found = self.given.get(section)
        return (found.entries or {}).get(key) if found is not None else None

    def find_variable(self, name: str) -> EnvVar | None:
        """A variable of the launch's script, else of its container."""
        return self.container.find_variable(name, self.launch)

    @property
    def block_argument(self) -> str:
        """The argument that sets the size of its KV blocks."""
        return {"vllm": "block-size", "sglang": "page-size"}.get(self.engine.name, "kv-block-size")

    @property
    def block_size(self) -> int | None:
        """The tokens in a block of its KV cache; None if unknown.

        vLLM and SGLang choose one by model and GPU if it is not set. TensorRT-LLM has it in
        kv_cache_config.tokens_per_block; Dynamo is told by --kv-block-size.
        """
        told = self.number(self.block_argument)
        if self.engine.name != "trtllm":
            return told
        if (
            not self.given.complete
            or self.given.has_prefix("trtllm.")
            or self.given.get("override-engine-args")
        ):
            return None
        own = self.get_nested("kv-cache-config", "tokens_per_block")
        if own is None and told is None and self.given.get("backend") is None:
            model = find_model(self.model or "")
            return _TRTLLM_BLOCK if model is not None and not model.latent else None
        sizes = {size for size in (own, told) if isinstance(size, int)}
        return sizes.pop() if len(sizes) == 1 else None

    @property
    def is_offline(self) -> bool:
        """Whether HF_HUB_OFFLINE forbids it to download from the Hugging Face hub."""
        variable = self.find_variable("HF_HUB_OFFLINE")
        return variable is not None and (variable.value or "").lower() in _ON

    @cached_property
    def mode(self) -> str | None:
        """The part of a request that it handles: agg, prefill, decode, encode; None if unknown.

        For vLLM, Dynamo up to 0.9 takes `--is-prefill-worker`, 1.0 to 1.3 that or `--disaggregation-mode`,
        later releases only the latter (`dynamo/vllm/backend_args.py` of the package ai-dynamo). SGLang and
        TensorRT-LLM only ever had the latter. Each flag has an environment variable.
        """
        found = self.given.get("disaggregation-mode")
        prefix = f"DYN_{self.engine.name.upper()}_"
        variable = self.find_variable(f"{prefix}DISAGGREGATION_MODE")
        if found is not None or variable is not None:
            value = found.value if found is not None else variable.value if variable else None
            return None if value is None else "agg" if value in _AGGREGATED else str(value)
        for part in ("prefill", "decode"):
            if self.given.is_enabled(f"is-{part}-worker") or self._is_set(
                f"{prefix}IS_{part.upper()}_WORKER"
            ):
                return part
        return "agg" if self.given.complete else None

    @property
    def side(self) -> str:
        """Its role by its arguments, else by its component: prefill, decode, worker or another."""
        mode = self.mode
        if mode is not None and (mode != "agg" or isinstance(self.mode_source, Argument)):
            return mode
        return "worker" if self.component.role == "main" else self.component.role

    @property
    def mode_source(self) -> Argument | Launch:
        """The argument that sets its mode, or else its launch."""
        return self.given.get("disaggregation-mode", "is-prefill-worker", "is-decode-worker") or self.launch

    def _is_set(self, name: str) -> bool:
        variable = self.find_variable(name)
        return variable is not None and (variable.value or "").lower() in _ON


def find_instances(graph: Graph) -> Iterator[EngineInstance]:
    """Every engine that the components of a graph start."""
    for component in graph.components:
        yield from find_component_instances(graph, component)


def find_component_instances(graph: Graph, component: Component) -> tuple[EngineInstance, ...]:
    """Every engine that one component of a graph starts."""
    return _instances.get(graph, component, make=lambda: tuple(_list_instances(graph, component)))


_instances: IdentityCache[tuple[EngineInstance, ...]] = IdentityCache(65_536)  # many checks ask for the same


def _list_instances(graph: Graph, component: Component) -> Iterator[EngineInstance]:
    for container in component.containers:
        for launch in container.launches:
            engine = detect_engine(launch)
            if engine is not None:
                given = engine.arguments(container, launch, graph.file)
                given.complete = given.complete and not container.is_cut
                yield EngineInstance(graph, component, container, launch, engine, given)
