"""Small models of each family, beside the number of weights that transformers 5.24 gives their matrices."""

from typing import Any

import msgspec
import pytest

from dynocheck.data.model_configs import parse_model_config
from dynocheck.data.models import Model
from dynocheck.engines.memory import (
    GIB,
    MemoryBudget,
    Sharding,
    compute_sequence_bytes,
    compute_token_bytes,
    estimate_memory,
)

SIZES: dict[str, Any] = {
    "num_hidden_layers": 4,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 128,
    "max_position_embeddings": 512,
    "intermediate_size": 96,
    "torch_dtype": "bfloat16",
}
EXPERTS = {"num_experts": 8, "moe_intermediate_size": 32}
ROUTED = {"n_routed_experts": 8, "moe_intermediate_size": 32, "first_k_dense_replace": 1}
MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 16, "mamba_n_groups": 1, "mamba_d_state": 32}
WINDOW = {"sliding_window": 128}
LOCAL = ["sliding_attention"] * 3 + ["full_attention"]
MLA = {
    "kv_lora_rank": 32,
    "q_lora_rank": None,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "v_head_dim": 16,
}
DELTA = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
}
SHARED_CACHES = {
    "num_hidden_layers": 8,
    "head_dim": 16,
    "global_head_dim": 32,
    "hidden_size_per_layer_input": 8,
    "vocab_size_per_layer_input": 128,
    "layer_types": LOCAL * 2,
    "num_kv_shared_layers": 4,
    "use_double_wide_mlp": True,
}
ONE_KEY = {
    "head_dim": 16,
    "global_head_dim": 32,
    "attention_k_eq_v": True,
    "num_global_key_value_heads": 1,
    "layer_types": LOCAL,
}
MIMO = {
    "head_dim": 16,
    "v_head_dim": 8,
    "hybrid_layer_pattern": [0, 1, 1, 1],
    "moe_layer_freq": [0, 1, 1, 1],
    "n_routed_experts": 8,
    "moe_intermediate_size": 32,
    "swa_num_key_value_heads": 4,
}
JAMBA = {
    "num_experts": 4,
    "attn_layer_offset": 1,
    "attn_layer_period": 2,
    "expert_layer_offset": 1,
    "expert_layer_period": 2,
    "mamba_expand": 2,
    "mamba_d_state": 16,
    "mamba_dt_rank": 4,
}
NEMOTRON = {
    "hybrid_override_pattern": "M-M*",
    "mamba_num_heads": 8,
    "mamba_head_dim": 16,
    "n_groups": 2,
    "ssm_state_size": 32,
    "mlp_hidden_act": "relu2",
}
LLAMA_4 = {
    "num_local_experts": 4,
    "interleave_moe_layer_step": 2,
    "intermediate_size_mlp": 128,
    "attention_chunk_size": 128,
}
ERNIE = {
    "moe_num_experts": 8,
    "moe_num_shared_experts": 2,
    "moe_intermediate_size": 32,
    "moe_layer_start_index": 1,
}
GRANITE = {**MAMBA, "num_local_experts": 4, "shared_intermediate_size": 96}


def read(architecture: str, **more: Any) -> Model:
    found = parse_model_config({**SIZES, "architectures": [architecture], **more}, "own/model", "config.json")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("architecture", "more", "weights", "token", "sequence"),
    [
        ("PhiForCausalLM", {}, 114688, 512, 262144),
        ("Starcoder2ForCausalLM", WINDOW, 106496, 0, 65536),
        ("Gemma2ForCausalLM", {**WINDOW, "head_dim": 16}, 131072, 256, 163840),
        ("Gemma3ForCausalLM", {**WINDOW, "head_dim": 16, "num_hidden_layers": 7}, 223232, 128, 163840),
        ("Cohere2ForCausalLM", WINDOW, 131072, 128, 114688),
        ("Olmo3ForCausalLM", {**WINDOW, "layer_types": LOCAL}, 139264, 128, 114688),
        ("DeepseekV2ForCausalLM", {**MLA, **ROUTED, "n_shared_experts": 2}, 288256, 320, 163840),
        ("Glm4MoeForCausalLM", {**ROUTED, "n_shared_experts": 1}, 251392, 512, 262144),
        ("Qwen2MoeForCausalLM", {**EXPERTS, "shared_expert_intermediate_size": 64}, 313600, 512, 262144),
        ("Ernie4_5_MoeForCausalLM", ERNIE, 261656, 512, 262144),
        ("Llama4ForCausalLM", LLAMA_4, 299520, 128, 114688),
        (
            "Qwen3NextForCausalLM",
            {**EXPERTS, **DELTA, "shared_expert_intermediate_size": 32},
            306944,
            128,
            65536,
        ),
        (
            "GraniteMoeHybridForCausalLM",
            {**GRANITE, "layer_types": ["mamba"] * 3 + ["attention"]},
            485888,
            128,
            65536,
        ),
        (
            "GraniteMoeHybridForCausalLM",
            {"num_local_experts": 0, "shared_intermediate_size": 160, "layer_types": ["attention"] * 4},
            188416,
            512,
            262144,
        ),
        ("BambaForCausalLM", {**MAMBA, "attn_layer_indices": [1]}, 189952, 128, 65536),
        ("FalconH1ForCausalLM", {**MAMBA, "mamba_d_ssm": 128}, 256000, 512, 262144),
        ("JambaForCausalLM", JAMBA, 285184, 256, 131072),
        ("NemotronHForCausalLM", NEMOTRON, 107520, 128, 65536),
        ("Lfm2ForCausalLM", {"layer_types": ["conv", "full_attention"] * 2}, 139264, 256, 131072),
        ("Gemma4ForCausalLM", {**WINDOW, **ONE_KEY}, 137216, 128, 114688),
        ("Gemma4ForCausalLM", {**WINDOW, **SHARED_CACHES}, 352256, 256, 180224),
        (
            "FalconForCausalLM",
            {"multi_query": True, "num_key_value_heads": None, "intermediate_size": None},
            180224,
            256,
            131072,
        ),
        ("MiMoV2FlashForCausalLM", {**WINDOW, **MIMO}, 229888, 96, 122880),
    ],
)
def test_a_family_is_sized_as_its_layers_are(
    architecture: str, more: dict[str, Any], weights: int, token: int, sequence: int
) -> None:
    found = read(architecture, **more)
    assert 0.96 * weights <= found.weight_bytes / 2 <= weights
    assert compute_token_bytes(found, Sharding(), 16) == token
    assert compute_sequence_bytes(found, Sharding(), 16, 512) == sequence


def test_a_model_whose_layers_all_have_a_window_holds_any_number_of_tokens() -> None:
    found = read("MistralForCausalLM", sliding_window=128)
    room = estimate_memory(found, MemoryBudget(Sharding()), GIB)
    assert (room.token, room.tokens) == (0, None)
    assert room.sequences is not None
    assert room.sequences > 1


def test_a_model_without_a_cache_holds_any_number_of_sequences() -> None:
    found = read("NemotronHForCausalLM", **{**NEMOTRON, "hybrid_override_pattern": "M-M-"})
    assert estimate_memory(found, MemoryBudget(Sharding()), GIB).sequences == float("inf")


def test_fewer_heads_than_ranks_are_repeated() -> None:
    found = read("LlamaForCausalLM")
    tokens = [compute_token_bytes(found, Sharding(ranks, ranks), 16) for ranks in (1, 2, 4)]
    assert tokens == [512, 256, 256]


@pytest.mark.parametrize("suffix", ["Model", "ForSequenceClassification", "ForRewardModel"])
def test_a_model_without_a_head_has_no_output_layer(suffix: str) -> None:
    whole = read("Qwen2ForCausalLM")
    assert whole.weight_bytes - read(f"Qwen2{suffix}").weight_bytes == 128 * 64 * 2


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, 512),
        ({"rope_scaling": {"type": "linear", "factor": 4.0}}, 2048),
        ({"rope_parameters": {"rope_type": "dynamic", "factor": 2}}, 1024),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8}}, 512),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4}}, 512),
        ({"rope_scaling": {"type": "longrope"}, "original_max_position_embeddings": 64}, 64),
    ],
)
def test_the_longest_sequence_is_what_vllm_derives(more: dict[str, Any], expected: int) -> None:
    assert read("LlamaForCausalLM", **more).context == expected


def test_a_language_model_inside_another_is_known_by_its_type() -> None:
    """What it leaves out is what its class has."""
    outer = {"architectures": ["LlavaForConditionalGeneration"], "torch_dtype": "float16"}
    inner = {"model_type": "mistral", "sliding_window": None, "max_position_embeddings": 4096}
    found = parse_model_config({**outer, "text_config": inner}, "own/model", "x")
    assert found is not None
    assert (found.layers, found.hidden, found.kv_heads, found.windowed) == (32, 4096, 8, 0)
    unknown = {**inner, "model_type": "other", "architectures": None}
    assert parse_model_config({**outer, "text_config": unknown}, "own/model", "x") is None


@pytest.mark.parametrize(
    "architecture", ["EagleLlamaForCausalLM", "LlamaForCausalLMEagle3", "LlamaForCausalLM2"]
)
def test_another_architecture_of_a_known_type_is_not_guessed(architecture: str) -> None:
    config = {**SIZES, "architectures": [architecture], "model_type": "llama"}
    assert parse_model_config(config, "own/model", "x") is None


@pytest.mark.parametrize("key", ["num_experts", "moe_num_experts", "n_routed_experts", "num_local_experts"])
@pytest.mark.parametrize("number", [8, [8, 8]])
def test_experts_of_another_architecture_are_counted(key: str, number: object) -> None:
    config = {**SIZES, "architectures": ["OtherForCausalLM"], key: number}
    found = parse_model_config(config, "own/model", "x", checkpoint=10**9)
    assert found is not None
    assert (found.opaque, found.experts) == (True, 8)


@pytest.mark.parametrize(
    "change",
    [
        {"num_hidden_layers": 10**9},
        {"num_hidden_layers": 1e300},
        {"layer_types": ["full_attention", "other", "full_attention", "full_attention"]},
        {"layer_types": 7},
        {"moe_layer_freq": "1", "num_experts": 4, "mlp_layer_types": 3},
        {"rope_scaling": "linear"},
        {"num_key_value_heads": "2"},
        {"num_key_value_heads": 0},
    ],
)
def test_an_odd_configuration_is_not_guessed(change: dict[str, Any]) -> None:
    config = {**SIZES, "architectures": ["LlamaForCausalLM"], **change}
    assert parse_model_config(config, "own/model", "x") is None


# Quantization


def store(quantized: dict[str, Any], architecture: str = "Qwen3MoeForCausalLM", **more: Any) -> list[str]:
    sizes = EXPERTS if "Moe" in architecture else {}
    found = read(architecture, **{**sizes, **more, "quantization_config": quantized})
    return list(msgspec.structs.astuple(found.stored)[:3])


@pytest.mark.parametrize(
    ("quantized", "expected"),
    [
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, "int4-g128"),
        ({"quant_method": "gptq", "bits": 4, "group_size": 32}, "int4-g32"),
        ({"quant_method": "gptq", "bits": 4, "group_size": 64}, "int4-g128"),
        ({"quant_method": "gptq", "bits": 4, "group_size": -1}, "int4"),
        ({"quant_method": "gptq", "bits": 8, "group_size": 128}, "int8"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "int4"),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "int8"),
        ({"quant_method": "fbgemm_fp8"}, "fp8"),
        ({"quant_algo": "FP8_PB_WO"}, "fp8"),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"g": {"weights": {"type": "int", "num_bits": 8}}},
            },
            "int8",
        ),
    ],
)
def test_the_methods_of_checkpoints_are_known(quantized: dict[str, Any], expected: str) -> None:
    assert store(quantized) == [expected] * 3


@pytest.mark.parametrize(
    "quantized",
    [
        {"quant_method": "awq", "bits": 3, "group_size": 128},
        {"quant_method": "gptq", "bits": 4, "group_size": 128, "lm_head": True},
        {"quant_method": "quark"},
    ],
)
def test_other_methods_are_not(quantized: dict[str, Any]) -> None:
    config = {**SIZES, "architectures": ["LlamaForCausalLM"], "quantization_config": quantized}
    assert parse_model_config(config, "own/model", "x") is None


FP4 = {"quant_method": "modelopt", "quant_algo": "NVFP4"}


@pytest.mark.parametrize(
    ("ignored", "expected"),
    [
        ([f"model.layers.{n}.self_attn*" for n in range(4)], ["bf16", "nvfp4", "nvfp4"]),
        ([f"model.layers.{n}.self_attn*" for n in range(3)], ["nvfp4", "nvfp4", "nvfp4"]),
        (["model.layers.1.mlp.experts.0.down_proj"], ["nvfp4", "nvfp4", "nvfp4"]),
        ([f"vision_tower.layers.{n}.self_attn.o_proj" for n in range(27)], ["nvfp4", "nvfp4", "nvfp4"]),
        ([f"model.layers.{n}.mlp*" for n in range(4)], ["nvfp4", "bf16", "nvfp4"]),
        (["*.mlp.experts*"], ["nvfp4", "nvfp4", "bf16"]),
        ([*(f"model.layers.{n}*" for n in range(2)), "model.layers.2.*", "model.layers.3."], ["bf16"] * 3),
    ],
)
def test_what_not_every_layer_leaves_out_counts_as_quantized(ignored: list[str], expected: list[str]) -> None:
    assert store({**FP4, "ignore": ignored}) == expected


def test_a_quantized_checkpoint_that_is_larger_than_it_says_is_as_large() -> None:
    config = {**SIZES, "architectures": ["LlamaForCausalLM"], "quantization_config": FP4}
    found = parse_model_config(config, "own/model", "x", checkpoint=10**6)
    assert found is not None
    assert (found.weight_bytes, found.cache) == (10**6, "bf16")


@pytest.mark.parametrize(
    "change",
    [
        {"n_routed_experts": 8, "moe_intermediate_size": 10**12, "n_shared_experts": [[1]]},
        {"hidden_size": "x", "num_key_value_heads": 10**12, "kv_lora_rank": 8},
        {"head_dim": ["x"], "num_attention_heads": 10**12, "num_key_value_heads": 10**12},
    ],
)
@pytest.mark.parametrize("family", ["DeepseekV3", "Jamba", "MiMoV2", "FalconH1", "Qwen3Next"])
def test_a_text_where_a_number_belongs_is_not_repeated(family: str, change: dict[str, Any]) -> None:
    config = SIZES | JAMBA | MIMO | MAMBA | DELTA | change
    config |= {"architectures": [f"{family}ForCausalLM"]}
    assert parse_model_config(config, "own/model", "x") is None


def test_a_configuration_within_itself_is_unknown() -> None:
    config: dict[str, Any] = dict(SIZES)
    for _ in range(5_000):
        config = {"text_config": config}
    assert parse_model_config(config, "own/model", "x") is None
