"""Kinds of defect in manifests that serve models without Dynamo, as public issues tell of them.

Most are told in an issue or a troubleshooting page, which is named; the others are slips of the same sort.
"""

from functools import partial
from re import Match

from tests.mutations.commands import flag
from tests.mutations.defect import Defect

GPU = r"nvidia\.com/gpu\W*: *"
WHOLE = (
    r"\A(?!(?s:.*)(\{\{|kind: ClusterServingRuntime|google\.com/tpu))(?s:.*)"  # no template, no other's part
)
SERVES = rf"{WHOLE}image: .*(vllm|sglang|text-generation|tritonserver)"
VLLM = rf"{WHOLE}image: .*vllm"
ENGINE = r"(?s)\A(?!.*vllm-stack)|deployment-vllm-multi"  # behind the router of a chart
SIZED = (
    rf"{WHOLE}(meta-llama/[LM]|Qwen/Qwen3|google/gemma-(2|7b|3-(4|12|27)b))"  # models whose sizes are known
)
SERVICE = r"kind: Service\n(?:(?!---).*\n)*?"
PLACE = rf"{GPU}|- name: |image:"  # of a container, where its sizes do not fit its GPUs
APART = r"kustomization|patch|variables|/values\.|-15-|nemoRL"  # the last two start what another file holds
Plain = partial(Defect, files=rf"^(?!.*({APART})).*", needs=SERVES)
Unstacked = partial(Defect, files=rf"^(?!.*({APART}|ps-values)).*", needs=SERVES)  # of no chart with a router


def twice(match: Match[str]) -> str:
    """Twice the number that the second group has."""
    return f"{match[1]}{int(match[2]) * 2}"


KINDS = [
    # Command lines.
    Plain("a flag in British", r"--gpu-memory-utilization", "--gpu-memory-utilisation"),
    Plain("one hyphen for two", r"(?<=- )--(?=(model|model-id|model-path)\b)", "-"),
    Plain("a share in percent", flag("gpu-memory-utilization", r"0?\.(\d)\d*"), r"\g<1>\g<2>0"),
    Plain("fp16 for a type", flag("dtype", r"\w+"), r"\1fp16"),
    Plain(
        "a parser of another name",
        flag("tool-call-parser", r"[\w-]+"),
        r"\1llama",
        needs=rf"{WHOLE}image: \S*vllm-openai:v",
    ),  # vllm#9312
    Plain(  # vllm#9986
        "tools without a parser",
        r"^ +- \W?--tool-call-parser\W?(=\S+|\n +- \S+)\n",
        "",
        at="--enable-auto-tool-choice",
        needs="--enable-auto-tool-choice",
    ),
    Plain("a rank that LoRA has not", flag("max-lora-rank", r"\d+"), r"\g<1>48"),
    Plain("twice the ranks", flag("tensor-parallel-size|tp|num-shard", r"(\d+)"), twice, within=PLACE),
    Plain("a blank after the equals sign", r"(- --(?:model|model-id)=)(?=\S)", r"\1 "),  # triton#5341
    Plain(  # vllm#4462
        "two arguments in one", r"^( +- --[\w-]+=\S+)\n +- (--[\w-]+=\S+)$", r"\1 \2"
    ),
    Plain(  # llmkube#1030
        "a flag of TGI for vLLM", r"--max-model-len", "--max-total-tokens", needs=VLLM
    ),
    Plain("JSON that is cut", r"""(--kv-transfer-config\W*\n? *-? *'?\{.*)\}(['"]*)$""", r"\1\2"),
    Plain(
        "AWQ for weights that are not", r"^( +- )(--model=\S+)$", r"\1\2\n\1--quantization=awq", needs=SIZED
    ),
    Plain("more than the model's positions", flag("max-model-len", r"\d+"), r"\g<1>4194304", needs=SIZED),
    Plain("a variable of the shell without one", r"(--model(?:-id)?=)\$\((\w+)\)", r"\1$\2"),
    Plain(
        "a variable of another name",
        r"(?<=- name: )MODEL_ID$",
        "MODEL_NAME",
        at="--model",
        needs=r"\$\(MODEL_ID\)",
    ),
    Plain(
        "a host that only the pod reaches",
        flag("host", r"0\.0\.0\.0"),
        r"\g<1>127.0.0.1",
        needs=rf"{WHOLE}(kind: Service$|[pP]robe:)",
        after=ENGINE,
    ),
    Plain(
        "another port of the engine",
        flag("port", r"80[08]0"),
        r"\g<1>8090",
        needs=rf"{WHOLE}[pP]robe:",
        within=r"port: ",
        after=ENGINE,
    ),
    Plain(  # text-generation-inference#832
        "more of input than of tokens",
        flag("max-input-length|max-input-tokens", r"\d+"),
        r"\g<1>65536",
        needs="--max-total-tokens",
    ),
    Plain(
        "adapters without LoRA",
        r"^ +- \W?--enable-lora\W?\n",
        "",
        needs="--lora-modules",
        at="=/",
    ),
    # GPUs and memory.
    Plain("half a GPU", rf"({GPU})\W?\d\W?$", r'\1"0.5"'),
    Plain("GPUs of another name", r"nvidia\.com/gpu(?=\W*:)", "nvidia.com/gpus", at=GPU),
    Plain(
        "requests above limits",
        rf'(requests:\n(?: .*\n)*? +{GPU}"?)(\d)(?="?\n(?: .*\n)*? +limits:)',
        twice,
        at=GPU,
    ),
    Plain(  # production-stack#276
        "no shared memory",
        r"^ +- mountPath: /dev/shm\n +name: \w+\n|^ +- name: \w+\n +mountPath: /dev/shm\n",
        "",
        needs=rf"(?s){GPU}\W?[248].*/dev/shm",
        within=rf"{GPU}|- name: |image:|volumeMounts",
    ),
    Plain("a medium in small letters", r"(?<=medium: )Memory\b", "memory"),
    # Probes and Services.
    Plain(
        "a probe of another port",
        r"((?:liveness|readiness|startup)Probe:\n(?: .*\n)*? +port: )\d+$",
        r"\g<1>8123",
        at=r"Probe:|port:",
        needs=VLLM,
        after=ENGINE,
    ),
    Plain(
        "a path that the server has not",
        r"((?:liveness|readiness|startup)Probe:\n(?: .*\n)*? +path: +)/health$",
        r"\1/healthz",
        at="path:",
        needs=VLLM,
        after=ENGINE,
    ),
    Plain(
        "a Service that selects nothing",
        rf"({SERVICE} +selector:\n +[\w./-]+: )(\S+)$",
        r"\1\2-v2",
        within="selector|kind: Service",
    ),
    Unstacked("a Service of another port", rf"({SERVICE} +targetPort: )\d+$", r"\g<1>8123", at="port:"),
    Unstacked("a port of no name", rf"""({SERVICE} +targetPort: )["'\w-]+$""", r"\1web", at="port:"),
    Plain(  # vllm#34199
        "a Service named vllm",
        r"(kind: Service\nmetadata:\n  name: )\S+$",
        r"\1vllm",
        needs=VLLM,
        within=".",
    ),
    Plain(
        "labels that the selector misses",
        r"(matchLabels:\n +(app|model): .*\n(?:(?!---).*\n)*?  template:\n +metadata:\n"
        r" +labels:\n +\2: )(\S+)$",
        r"\1\3-v2",
        within=r"selector|^ +[\w./-]+: ",
        needs=rf"{SERVES}|kind: Deployment",
    ),
    # What is named.
    Plain(
        "a claim of another name",
        r"""(claimName: "?)([\w-]+)(?="?$)""",
        r"\1\2-0",
        needs="kind: PersistentVolumeClaim",
    ),
    Plain(
        "a Secret of another name",
        r"""(secretKeyRef:\n +name: "?)([\w-]+)(?="?$)""",
        r"\1\2s",
        needs=rf"{WHOLE}kind: Secret$",
        files=r"^(?!.*(-09-|-13-|values\.)).*",
    ),
    Plain(
        "a key that the Secret has not",
        r"""(secretKeyRef:\n +name: .*\n +key: "?)([\w.-]+)(?="?$)""",
        r"\1\2_x",
        needs=rf"{WHOLE}kind: Secret$",
        files=r"^(?!.*(-09-|-13-|values\.)).*",
    ),
    Plain("a mount of no volume", r"(volumeMounts:\n +- name: )(\S+)$", r"\1other", at="volumeMounts|name:"),
    Plain("an image of no v", r"(vllm/vllm-openai:)v(?=\d)", r"\1"),
    # Groups of pods.
    Plain(  # lws#184
        "a group of another size",
        r"^( +size: )(\d+)$",
        twice,
        needs=rf"{WHOLE}kind: LeaderWorkerSet(?s:.*)image: .*vllm",
        within=rf"{PLACE}|parallel-size",
    ),
    Plain("a leader of no address", r"\$\(LWS_LEADER_ADDRESS\)", "$(LWS_LEADER_ADDR)", at="args|command"),
    # Scaling and routing.
    Plain(
        "more at least than at most",
        r"(minReplicas: )\d+(?=\n +maxReplicas: (\d+))",
        r"\g<1>9",
        at="Replicas",
        needs="",
    ),
    Plain("a metric without its colon", r"vllm:(?=num_requests_\w+)", "vllm_", needs=""),
    Plain(
        "a target of another name",
        r"(scaleTargetRef:\n(?: +(?:apiVersion|kind): .*\n)* +name: )(\S+)$",
        r"\1\2-v2",
        needs="^kind: Deployment$",
        within="scaleTargetRef",
    ),
    # KServe's.
    Plain(
        "tensor ranks without their GPUs",
        rf"^( +)(replicas: \d+)$(?=(?:\n .*)*?{GPU})",
        r"\1\2\n\1parallelism: {tensor: 16}",
        needs=r"\A(?!(?s:.*)(parallelism|prefill):)(?s:.*)kind: LLMInferenceService$",
        within=rf"{PLACE}|containers:|template:",
    ),
    # YAML, and what the API server refuses.
    Plain(
        "a list that is not indented as its key",
        r"^( +)( +)(containers:\n)( +)(- name)",
        r"\1\3\2\4\5",
        needs="",
        at=r"\S",
    ),  # kserve#3446
    Plain("replicas in quotes", r"^( +replicas: )(\d+)$", r'\1"\2"', needs=rf"{WHOLE}kind: Deployment$"),
    Plain(
        "a variable twice",
        r"^( +)(- name: (?:HF_TOKEN|MODEL_ID|HF_HOME)\n +value: )(\S+)$",
        r"\1\2\3\n\1\2other",
        at="- name",
    ),
]
