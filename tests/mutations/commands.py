"""Kinds of defect in command lines: words, flags, values and the shell around them, in every form."""

from functools import partial

from tests.mutations.defect import COMPONENT, LAUNCH, MANIFEST, OR_THE_YAML, Defect

PAIR = r"--disaggregation-mode(\n +- |[ =])\W?prefill"
GPU = r"(?:nvidia\.com/)?gpu: \S+"
NUMBERS = "tensor-parallel-size|tp|block-size|max-model-len|max-num-seqs|context-length"
START = rf"{LAUNCH}|command: \["  # the line of a program


def flag(names: str, value: str) -> str:
    """A flag and its value, on a line each or in one, or in a script."""
    return rf"""((?:^ +- \W?|\s)--(?:{names})(?:['"]?\n +- ["']?|[ =]["']?)){value}(?=["']?(?:\s|$))"""


InGraph = partial(Defect, files=MANIFEST)
BY_CHECK = {
    "engine.command-words": [
        InGraph("an en dash for two hyphens", r"--(?=model(-path)?\b)", "\u2013", needs=LAUNCH),
        InGraph("a word that nobody takes", rf"^( +)(- {LAUNCH})$", r"\1\2\n\1- serve"),
        InGraph("a word that nobody takes in a script", rf"({LAUNCH})(?= )", r"\1 serve"),
        InGraph(
            "a blank at the end of a word",
            r"^( +- )(--(?:model|model-path|served-model-name|tensor-parallel-size))$",
            r'\1"\2 "',
        ),
        InGraph("a backslash left out", r"^( +--[\w-]+ \S+) \\$(?=\n +--)", r"\1", at=r"^ +--\w"),
        InGraph("a blank after a backslash", r"^( +--[\w-]+ \S+ \\)$(?=\n +--)", r"\1 ", at=r"^ +--\w"),
        InGraph("a comment amid a command", r"^( +)(--[\w-]+ \S+ \\)$", r"\1# tuned\n\1\2", at=r"^ +--\w"),
        InGraph(  # lines that are indented further are not folded
            "a folded script",
            rf"^( +- |\s+\w+: )\|-?$(?=\n( +)(?:.*\n\2)??.*{LAUNCH} .*\\\n\2--)",
            r"\1>-",
            at=LAUNCH,
        ),
        InGraph(
            "a command in one word",
            rf"^( +)- python3?\n\1- -m\n\1- ({LAUNCH})$",
            r"\1- python3 -m \2",
            at=r"command:",
        ),
        InGraph(
            "a launch as the argument of another command",
            rf"^( +)(exec )?(python3 -m {LAUNCH})",
            r"\1ulimit -n 1048576 \3",
        ),
    ],
    "graph.engine-agrees": [
        InGraph("a module there is not", r"(?<=dynamo\.)vllm\b", "vlm", at="-m"),
        InGraph("another engine's module", r"(?<=dynamo\.)sglang\b", "vllm", at="image: "),
        InGraph("a module of former releases", r"(?<=-m )(dynamo\.(?:vllm|sglang))$", r"\1.decode_worker"),
        InGraph(
            "a module of former releases in a list",
            r"^( +- -m\n +- dynamo\.(?:vllm|sglang))$",
            r"\1.decode_worker",
            at=START,
        ),
    ],
    "engine.flags-known": [
        InGraph(
            "a flag of another engine", r"--context-length\b", "--max-model-len", needs=r"dynamo\.sglang"
        ),
        InGraph(
            "a flag of SGLang for vLLM",
            r"--gpu-memory-utilization\b",
            "--mem-fraction-static",
            needs=r"dynamo\.vllm",
        ),
        InGraph("a misspelt flag of the frontend", r"--router-mode\b", "--routr-mode"),
    ],
    "engine.values": [
        InGraph(
            "percent for a share",
            flag("gpu-memory-utilization|mem-fraction-static|free-gpu-memory-fraction", r"0?\.(\d\d?)"),
            r"\g<1>\2",
        ),
        InGraph("no parallelism at all", flag("tensor-parallel-size|tp-size|tp", r"\d+"), r"\g<1>0"),
        InGraph(
            "a number with its unit",
            flag("max-model-len|context-length|block-size|page-size|max-num-seqs|max-num-tokens", r"(\d+)"),
            r"\g<1>\2tokens",
        ),
        InGraph("a flag without its value", rf"^( +- --(?:{NUMBERS}))\n +- \S+\n(?= +- --)", r"\1\n"),
        InGraph(
            "a quantisation there is not", flag("quantization", r"(modelopt_fp4|fp8|modelopt)"), r"\1\2x"
        ),
        InGraph("a router's mode there is not", flag("router-mode", r"kv"), r"\1kvv"),
        InGraph(
            "a parser there is not, in a variable",
            r"^( +)(- name: HF_HOME\n)",
            r"\1- name: DYN_TOOL_CALL_PARSER\n\1  value: hermes_2\n\1\2",
            needs=r"-runtime:1\.\d+\.\d+$",  # which parsers another build has is unknown
            after=LAUNCH,
        ),
        InGraph(
            "two parsers of tool calls",
            flag("dyn-tool-call-parser", r"(\w+)") + r"(?= \\\n)",
            r"\1\2 --tool-call-parser qwen3_coder",
            needs=r"dynamo\.sglang",
            at="--dyn-tool-call-parser",
        ),
        InGraph("a side there is not", flag("disaggregation-mode", r"decode"), r"\1decoder"),
        InGraph(
            "a role of KV transfer there is not",
            r"(--kv-transfer-config(?:(?!\n +- -)[\s\S]){0,300}?)kv_both",
            r"\1both",
            at="--kv-transfer-config",
        ),
        InGraph(
            "percent for a share in YAML",
            r"(free_gpu_memory_fraction: )0\.(\d+)",
            r"\g<1>\2",
            files=r"\.yaml$",
            at="kv_cache_config",
        ),
    ],
    "engine.config-keys": [
        InGraph(
            "a key of former versions",
            r"^( +)(tensor_parallel_size: \d+)$",
            r"\1use_cuda_graph: true\n\1\2",
        ),
        InGraph(
            "a key that only flags have", r"^( +)(tensor_parallel_size: \d+)$", r"\1kv_cache_dtype: fp8\n\1\2"
        ),
        InGraph("a key in another order", r"\benable_padding:", "padding_enabled:"),
    ],
    "engine.pair-agrees": [
        InGraph(
            "a transceiver on one side",
            r"^( +)cache_transceiver_config:\n(?:\1 +.*\n)+",
            "",
            needs=PAIR,
            within="kv_cache_config:|cache_transceiver_config:",
        ),
        InGraph("KV transfer on one side", r"^ +- --kv-transfer-config\n +- .*\n", "", needs=PAIR, at=START),
        InGraph(
            "KV transfer on one side of scripts",
            r"^ +--kv-transfer-config '.*?' \\\n|(?<=\S) +--kv-transfer-config '.*?'",
            "",
            needs=PAIR,
            at=LAUNCH,
        ),
        InGraph(
            "another transfer backend",
            flag("disaggregation-transfer-backend", r"nixl"),
            r"\1mooncake",
            within="--disaggregation-transfer-backend",
        ),
        InGraph(
            "another page size", flag("page-size", r"(\d+)"), r"\g<1>1\2", needs=PAIR, within="--page-size"
        ),
        InGraph(
            "another type of the KV cache",
            flag("kv-cache-dtype", r"(?:fp8_e4m3|fp8)"),
            r"\1bfloat16",
            needs=PAIR,
            within="--kv-cache-dtype",
        ),
    ],
    "parallelism.gpus-match": [
        InGraph(
            "more ranks than GPUs",
            flag("tensor-parallel-size|tp-size|tp", r"([1248]|16)"),
            lambda m: f"{m[1]}{int(m[2]) * 2}",
            at=COMPONENT,
            check=OR_THE_YAML.format("parallelism.gpus-match"),
        ),
        InGraph(
            "more GPUs than ranks",
            r"""^( +limits:\n(?: +(?:cpu|memory): .*\n)* +gpu: ["']?)(\d+)""",
            lambda m: f"{m[1]}{int(m[2]) * 2}",
            at=COMPONENT,
        ),
        InGraph(
            "more nodes than ranks",
            r"(nodeCount: )(\d+)",
            lambda m: f"{m[1]}{int(m[2]) * 2}",
            at=COMPONENT,
            needs=LAUNCH,
        ),
    ],
    "parallelism.heads-divide": [
        InGraph(
            "a seventh of the heads",
            flag("tensor-parallel-size|tp-size|tp", r"\d+"),
            r"\g<1>7",
            at=COMPONENT,
            needs=r"\A(?!(?s:.*)attention[-_]dp)(?s:.*)([Qq]wen3-32[Bb]|[Ll]lama-3|gpt-oss)",
            check=OR_THE_YAML.format("parallelism.heads-divide"),
        ),
    ],
    "parallelism.*": [
        InGraph(
            "no GPUs at all",
            rf"^( +)(?:requests:\n\1 +{GPU}\n\1)?limits:\n\1 +{GPU}\n(?!\1 )"
            rf"(?:\1requests:\n\1 +{GPU}\n(?!\1 ))?(?!\1requests:)",
            "",
            at=COMPONENT + "|gpu:",
            needs=LAUNCH,
        ),
    ],
    "engine.*": [
        InGraph(
            "a flag and its value in one word",
            rf"^( +- )(--(?:{NUMBERS}))\n +- [\"']?(\d+)[\"']?$",
            r"\1\2 \3",
        ),
        InGraph(
            "JSON that does not end",
            r"(--(?:kv-transfer-config|kv-events-config)(?:\n +- | )'\{.*)\}'",
            r"\1'",
            within="--kv-",
        ),
        InGraph("a connector there is not", r"NixlConnector", "NixlConector", within="--kv-transfer-config"),
        InGraph(
            "a quote that stays open",
            r"(--(?:kv-transfer-config|kv-events-config|speculative-config) '\{.*\})'",
            r"\1",
            at=r"^ +--\w|- \||>-",
        ),
    ],
}
