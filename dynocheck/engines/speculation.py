"""The draft models that engines load beside their own, for speculative decoding."""

from collections.abc import Mapping
from typing import Any

from dynocheck.engines.instances import EngineInstance

_LAYERS = ("eagle", "nextn")  # SGLang's names for MTP, where no draft model is given
_WITHOUT_MODEL = ("ngram", "suffix", "prompt_lookup", "user_provided")
_MODELS = ("model", "speculative_model", "speculative_model_dir")
# Drafts with a vocabulary of their own, which vLLM tells by their name or their model_type.
_HEADS = ("eagle", "medusa", "mtp", "dflash", "dspark", "speculator", "hydra")


OWN_LAYERS = "drafting layers"


def read_speculation(instance: EngineInstance) -> Mapping[str, Any] | None:
    """How an engine drafts tokens, by the keys of vLLM's and TensorRT-LLM's configuration; empty if it does
    not, None if unknown. vLLM before 0.9 has a flag for each key.
    """
    config = instance.given.get("speculative-config")
    if config is not None:
        return config.entries
    flags = {
        "model": "speculative-model",
        "num_speculative_tokens": "num-speculative-tokens",
        "draft_tensor_parallel_size": "speculative-draft-tensor-parallel-size",
    }
    found = {key: instance.given.get(flag) for key, flag in flags.items()}
    given = {key: argument for key, argument in found.items() if argument is not None}
    if not all(argument.known for argument in given.values()):
        return None
    return {key: argument.value for key, argument in given.items()}


def find_draft(instance: EngineInstance) -> str | None:
    """What an engine loads to draft tokens: the hub id or path of a model, OWN_LAYERS for layers of its own
    model, empty if nothing; None if unknown.
    """
    if instance.engine.name == "sglang":
        kind = instance.given.text("speculative-algorithm", "")
        model = instance.given.text("speculative-draft-model-path", "")
    else:
        entries = read_speculation(instance)
        if entries is None:
            return None
        kind = str(entries.get("method", entries.get("decoding_type", "")))
        model = next((str(entries[name]) for name in _MODELS if entries.get(name)), "")
    if kind is None or model is None:
        return None
    if not (kind or model) or any(each in kind.lower() for each in _WITHOUT_MODEL):
        return ""
    if model.strip("[]") in _WITHOUT_MODEL:
        return ""
    if model in ("", instance.model):
        return OWN_LAYERS if kind.lower() in _LAYERS or "mtp" in kind.lower() else None
    return model


def drafts_by_head(instance: EngineInstance, draft: str) -> bool:
    """Whether what drafts is a head on the model, which may use the model's own vocabulary layers."""
    config = {} if instance.engine.name == "sglang" else read_speculation(instance) or {}
    algorithm = instance.given.text("speculative-algorithm", "")
    kinds = (draft, config.get("method"), config.get("decoding_type"), algorithm)
    return any(head in f"{kind}".lower() for kind in kinds for head in _HEADS)


def find_draft_model(instance: EngineInstance) -> str | None:
    """The whole model that drafts for an engine of vLLM, token by token; None if nothing or something else
    drafts, such as a head, or if that is unknown.
    """
    draft = find_draft(instance) if instance.engine.name == "vllm" else None
    method = (read_speculation(instance) or {}).get("method") or "draft_model"
    if not draft or draft == OWN_LAYERS or method != "draft_model":
        return None
    return None if any(head in draft.lower() for head in _HEADS) else draft
