"""Weights and KV cache by the formulas, against what publishers and engines say."""

from typing import Any

import msgspec
import pytest

from dynocheck.data.model_configs import parse_model_config
from dynocheck.data.models import Model, find_model
from dynocheck.engines.memory import (
    GIB,
    MemoryBudget,
    MemoryEstimate,
    Sharding,
    compute_sequence_bytes,
    compute_token_bytes,
    compute_weight_bytes,
    estimate_memory,
)


def model(name: str) -> Model:
    found = find_model(name)
    assert found is not None
    return found


# total_size of the checkpoint's model.safetensors.index.json; of DeepSeek the weight files of its repository.
PUBLISHED = {
    "Qwen/Qwen3-8B": 16_381_470_720,
    "Qwen/Qwen3-32B": 65_524_246_528,
    "Qwen/Qwen3-235B-A22B": 470_187_269_120,
    "meta-llama/Llama-3.1-8B": 16_060_522_496,
    "meta-llama/Llama-3.1-70B": 141_107_412_992,
    "openai/gpt-oss-120b": 65_248_815_744,
    "deepseek-ai/DeepSeek-V3": 688_586_727_753,
}


@pytest.mark.parametrize(("name", "published"), PUBLISHED.items())
def test_checkpoints_have_the_published_size(name: str, published: int) -> None:
    assert model(name).disk_bytes == pytest.approx(published, rel=0.002)
    assert model(name).disk_bytes <= published


# What cards, pages and engines say of others, less exactly.
REPORTED = {
    "deepseek-ai/DeepSeek-V4-Flash": 148.66 * GIB,  # github.com/vllm-project/vllm/issues/40802
    "moonshotai/Kimi-K2.6": 555 * GIB,  # huggingface.co/gratex/Kimi-K2.6-REAM-25
    "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16": 31.6e9 * 2,  # a page about it, not its card
    "Qwen/Qwen3.5-122B-A10B": 250e9,  # huggingface.co/olka-fi/Qwen3.5-122B-A10B-MXFP4
    "Qwen/Qwen3.6-35B-A3B": 67 * GIB,  # huggingface.co/Infatoshi/Qwen3.6-35B-A3B-NVFP4-FP8
    "Qwen/Qwen3.6-35B-A3B-FP8": 37e9,  # huggingface.co/gsting/Qwen3.6-35B-A3B-abliterated-FP8
    # Twice the parameters that their own pages on the hub give.
    "facebook/opt-125m": 0.1252e9 * 2,
    "google/gemma-3-1b-it": 1e9 * 2,
    "HuggingFaceTB/SmolLM2-135M-Instruct": 0.1345e9 * 2,
    "ibm-granite/granite-3.1-8b-instruct": 8.17e9 * 2,
    "meta-llama/Llama-3.2-1B-Instruct": 1.24e9 * 2,
    "meta-llama/Llama-3.2-3B-Instruct": 3.21e9 * 2,
    "meta-llama/Llama-4-Maverick-17B-128E-Instruct": 402e9 * 2,
    "meta-llama/Llama-4-Scout-17B-16E-Instruct": 109e9 * 2,
    "microsoft/phi-4": 14.7e9 * 2,
    "mistralai/Mistral-7B-Instruct-v0.3": 7.25e9 * 2,
    "Qwen/Qwen2.5-0.5B-Instruct": 0.494e9 * 2,
    "Qwen/Qwen2.5-14B-Instruct": 14.8e9 * 2,
    "Qwen/Qwen3-4B": 4.02e9 * 2,
    "tiiuae/falcon-7b-instruct": 6.92e9 * 2,
}


@pytest.mark.parametrize(("name", "reported"), REPORTED.items())
def test_other_families_have_the_reported_size(name: str, reported: float) -> None:
    assert model(name).disk_bytes == pytest.approx(reported, rel=0.02)
    assert model(name).disk_bytes < reported * 1.002  # as exact as what is reported


def test_only_layers_with_full_attention_cache_tokens() -> None:
    """VLLM holds 567,978 tokens in 5.98 GiB: github.com/noonghunna/club-3090/issues/612."""
    token = compute_token_bytes(model("Qwen/Qwen3.6-35B-A3B"), Sharding(), bits=8)
    assert token == 10 * 2 * 2 * 256
    assert 0.9 < token * 567_978 / (5.98 * GIB) < 1


def test_a_cache_of_an_unknown_form_is_not_counted() -> None:
    left = left_on("deepseek-ai/DeepSeek-V4-Flash", 288, cache="fp8")
    assert (left.tokens, left.sequences, left.fits) == (None, None, True)


def test_names_are_found_in_any_case_and_no_others() -> None:
    assert find_model("qwen/qwen3-32b") is find_model("Qwen/Qwen3-32B")
    assert find_model("Qwen/Qwen3-32B-Instruct") is None
    assert find_model("") is None


def test_drafting_layers_lie_on_disk_and_are_not_loaded() -> None:
    deepseek = model("deepseek-ai/DeepSeek-R1")
    assert deepseek.disk_bytes - deepseek.weight_bytes == pytest.approx(15.4e9, rel=0.01)


# KV cache. SGLang and vLLM on Qwen3-235B-A22B-FP8, four GPUs: github.com/vllm-project/vllm/issues/21348;
# llama.cpp on DeepSeek-R1 in q8_0, 34 bytes for 32 numbers: github.com/ikawrakow/ik_llama.cpp/pull/259.


def test_key_value_heads_are_divided_by_the_tensor_ranks() -> None:
    token = compute_token_bytes(model("Qwen/Qwen3-235B-A22B-FP8"), Sharding(4, 4, 4), bits=16)
    assert token * 367_404 / GIB == pytest.approx(2 * 8.23, rel=0.001)
    assert token * 178_880 / GIB == pytest.approx(8.11, rel=0.02)


def test_a_latent_is_held_whole_by_every_rank() -> None:
    deepseek = model("deepseek-ai/DeepSeek-R1")
    packed = compute_token_bytes(deepseek, Sharding(), bits=34 * 8 / 32)
    assert packed * 32_768 / 2**20 == pytest.approx(1166.6, abs=0.1)
    whole, sharded = (compute_token_bytes(deepseek, each, 16) for each in (Sharding(), Sharding(8, 8, 8)))
    assert whole == sharded == 70_272


def test_more_ranks_than_key_value_heads_repeat_them() -> None:
    qwen = model("Qwen/Qwen3-235B-A22B-FP8")
    four, eight = (compute_token_bytes(qwen, each, 16) for each in (Sharding(4, 4, 4), Sharding(8, 8, 8)))
    assert four == eight
    assert compute_weight_bytes(qwen, Sharding(8, 8, 8)) > qwen.weight_bytes / 8
    assert compute_weight_bytes(qwen, Sharding(4, 4, 4)) == pytest.approx(qwen.weight_bytes / 4)


def test_decode_context_parallelism_divides_the_tokens() -> None:
    deepseek = model("deepseek-ai/DeepSeek-R1")
    assert compute_token_bytes(deepseek, Sharding(8, 8, 8, cache=8), 16) == 70_272 / 8


def test_windows_are_full_early() -> None:
    oss = model("openai/gpt-oss-120b")
    each = 2 * 8 * 64 * 2  # KV heads, head size, two bytes
    assert compute_sequence_bytes(oss, Sharding(), 16, 100) == 100 * 36 * each
    assert compute_sequence_bytes(oss, Sharding(), 16, 10_000) == 10_000 * 18 * each + 128 * 18 * each


def test_attention_data_parallelism_repeats_attention_and_divides_experts() -> None:
    deepseek = model("deepseek-ai/DeepSeek-R1")
    whole, shared = (compute_weight_bytes(deepseek, Sharding(8, attention, 8)) for attention in (8, 1))
    assert shared - whole == pytest.approx(deepseek.attention_bytes * 7 / 8)
    assert whole == pytest.approx(deepseek.weight_bytes / 8)


def test_a_pipeline_divides_layers() -> None:
    llama = model("meta-llama/Llama-3.1-70B")
    assert compute_weight_bytes(llama, Sharding(pipeline=2)) == llama.weight_bytes / 2
    assert compute_token_bytes(llama, Sharding(pipeline=2), 16) == 80 / 2 * 2 * 8 * 128 * 2


# What is left


def left_on(name: str, gib: int, **budget: Any) -> MemoryEstimate:
    """What one GPU of so many GiB has left beside a model."""
    return estimate_memory(model(name), MemoryBudget(Sharding(), **budget), gib * GIB)


def test_vllm_divides_one_share_between_weights_and_cache() -> None:
    left = left_on("meta-llama/Llama-3.1-8B", 80, static=0.9)
    assert left.tokens == int((0.9 * 80 * GIB - left.weights) / 131_072)
    assert left.sequences == pytest.approx((left.tokens or 0) / 131_072, rel=1e-4)


def test_trtllm_gives_the_cache_a_share_of_what_is_free() -> None:
    left = left_on("meta-llama/Llama-3.1-8B", 80, free=0.5)
    assert left.tokens == int((80 * GIB - left.weights) * 0.5 / 131_072)


def test_an_fp8_cache_takes_half() -> None:
    plain, small = (left_on("Qwen/Qwen3-32B", 141, cache=cache) for cache in ("auto", "fp8_e4m3"))
    assert (small.token or 0) * 2 == plain.token
    own = left_on("nvidia/Llama-3.1-70B-Instruct-FP8", 141)  # whose checkpoint asks for it
    assert own.token == 80 * 2 * 8 * 128


def test_a_cache_of_unknown_precision_is_not_counted() -> None:
    left = left_on("Qwen/Qwen3-32B", 141, cache="turboquant_k8v4")
    assert (left.token, left.tokens, left.sequences) == (None, None, None)
    assert left.fits


# Configurations

QWEN = {
    "architectures": ["Qwen3ForCausalLM"],
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 100,
    "max_position_embeddings": 512,
    "intermediate_size": 128,
    "torch_dtype": "bfloat16",
}


def test_a_configuration_is_read() -> None:
    found = parse_model_config(QWEN, "own/model", "config.json")
    assert found is not None
    assert found.attention_layer == 2 * 64 * 16 * (4 + 2)
    assert found.vocabulary_bytes == 100 * 64 * 2 * 2


@pytest.mark.parametrize(
    "change",
    [
        {"architectures": ["MambaForCausalLM"]},
        {"architectures": None},
        {"hidden_size": None},
        {"num_hidden_layers": "two"},
        {"quantization_config": {"quant_method": "awq"}},
        {"torch_dtype": "float32"},
    ],
)
def test_a_configuration_of_another_kind_is_not_guessed(change: dict[str, object]) -> None:
    assert parse_model_config(QWEN | change, "own/model", "config.json") is None


NEMOTRON = {
    "architectures": ["NemotronHForCausalLM"],
    "hybrid_override_pattern": "ME*",
    "mlp_hidden_act": "relu2",
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "intermediate_size": 32,
    "mamba_num_heads": 8,
    "mamba_head_dim": 16,
    "n_groups": 2,
    "ssm_state_size": 32,
    "n_routed_experts": 8,
    "moe_intermediate_size": 32,
    "moe_shared_expert_intermediate_size": 64,
    "n_shared_experts": 1,
    "vocab_size": 100,
    "max_position_embeddings": 512,
    "torch_dtype": "bfloat16",
}


def test_each_layer_of_a_hybrid_is_one_of_three() -> None:
    found = parse_model_config(NEMOTRON, "own/model", "config.json")
    assert found is not None
    inner = 8 * 16
    assert found.attention_bytes == 2 * (2 * 64 * 16 * (4 + 2) + 64 * (3 * inner + 2 * 2 * 32 + 8))
    assert found.expert_bytes == 2 * 8 * 2 * 64 * 32
    assert compute_token_bytes(found, Sharding(), 16) == 2 * 2 * 16 * 2


def test_a_multimodal_model_is_its_language_model() -> None:
    outer = {"architectures": ["Qwen3VLForConditionalGeneration"], "vision_config": {"hidden_size": 9}}
    inner = {key: value for key, value in QWEN.items() if key != "architectures"}
    plain, found = (
        parse_model_config(each, "own/model", "x") for each in (QWEN, {**outer, "text_config": inner})
    )
    assert plain is not None
    assert plain == found


MIXED = {
    "quant_method": "modelopt",
    "quant_algo": "MIXED_PRECISION",
    "quantized_layers": {
        "backbone.layers.0.mixer.in_proj": {"quant_algo": "FP8"},
        "backbone.layers.1.mixer.experts.0.down_proj": {"quant_algo": "NVFP4"},
    },
}
GROUP = {"weights": {"type": "int", "num_bits": 4, "group_size": 32}}
PACKED = {"quant_method": "compressed-tensors", "config_groups": {"group_0": GROUP}}


@pytest.mark.parametrize(
    ("quantized", "stored"),
    [
        (MIXED, ("bf16", "bf16", "nvfp4", "fp8")),
        (PACKED, ("int4-g32",) * 4),
        ({**PACKED, "ignore": ["re:.*self_attn.*", "lm_head"]}, ("bf16", *("int4-g32",) * 3)),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, ("nvfp4",) * 4),
        (
            {
                "quant_method": "modelopt",
                "quant_algo": "NVFP4",
                "exclude_modules": ["model.layers.0*", "model.layers.2.self_attn*"],
            },
            ("bf16", "nvfp4", "nvfp4", "nvfp4"),
        ),
        ({**PACKED, "config_groups": {"a": GROUP, "b": GROUP}}, None),
        ({**PACKED, "ignore": [f"module{n}" for n in range(2000)]}, None),
        ({**PACKED, "ignore": ["a*" * 200]}, None),
        ({**MIXED, "quantized_layers": {"layers.0.mixer.in_proj": {"quant_algo": "NF3"}}}, None),
    ],
)
def test_what_a_quantization_leaves_out_is_not_counted_as_small(
    quantized: dict[str, Any], stored: tuple[str, ...] | None
) -> None:
    found = parse_model_config(QWEN | {"quantization_config": quantized}, "own/model", "x")
    assert (found and tuple(msgspec.structs.astuple(found.stored))) == stored
