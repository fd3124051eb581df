"""Texts made to break whoever reads them."""

from collections.abc import Callable

MIB = 1024 * 1024
MANY = "9" * 5_000
GRAPH = "apiVersion: nvidia.com/v1beta1\nkind: DynamoGraphDeployment\nmetadata: {name: g}\nspec:\n"
CLAIM = """apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: c}
spec: {accessModes: [ReadWriteMany], resources: {requests: {storage: 1Gi}}}
"""
GPUS = "          resources: {{limits: {{nvidia.com/gpu: {}}}}}\n"
_LAUNCH = "python3 -m dynamo.vllm --model x"


def bomb(levels: int = 12, style: str = "[{}]") -> str:
    """Aliases of aliases: 9 to the power of the levels, were they written out."""
    rows = ["a0: &a0 [x, x, x]"]
    for i in range(1, levels):
        rows.append(f"a{i}: &a{i} " + style.format(", ".join([f"*a{i - 1}"] * 9)))
    return "\n".join(rows) + "\n"


def merged(levels: int = 30) -> str:
    """Mappings that are merged into the next one twice."""
    rows = [f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}], k{i}: {i}}}" for i in range(1, levels)]
    return "\n".join(["a0: &a0 {x: 1}", *rows]) + "\n"


def script(text: str) -> str:
    """A graph whose worker runs this shell script."""
    below = "".join(f"            {line}\n" for line in text.split("\n"))
    return f"""{GRAPH}  components:
  - name: w
    type: worker
    podTemplate:
      spec:
        containers:
        - name: main
          image: x:1
          command: [bash, -c]
          args:
          - |
{below}"""


def environment(levels: int = 60) -> str:
    """Variables of which each holds the one before it twice."""
    rows = [f"          - {{name: A{i}, value: $(A{i - 1})$(A{i - 1})}}\n" for i in range(1, levels)]
    return script("true") + "          env:\n          - {name: A0, value: xxxxxxxx}\n" + "".join(rows)


def many(command: str, count: int = 200) -> str:
    """More containers, each with a script of its own."""
    row = "        - {{name: a{0}, image: x:1, command: {1}, args: [{0}]}}\n"
    return "".join(row.format(i, command) for i in range(count))


def configuration(text: str) -> str:
    """An engine's configuration, mounted into a worker that reads it."""
    held = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  engine.yaml: |\n"
    volumes = "        volumes: [{name: c, configMap: {name: c}}]\n        containers:\n"
    reading = script(f"{_LAUNCH} --config /c/engine.yaml").replace("        containers:\n", volumes)
    return f"{held}    {text}\n---\n{reading}" + "          volumeMounts: [{name: c, mountPath: /c}]\n"


TEXTS: dict[str, Callable[[], str | bytes]] = {
    "alias bomb": bomb,
    "alias bomb in keys": lambda: bomb(style="{{? [{}] : x}}"),
    "merge bomb": merged,
    "alias of itself": lambda: "a: &a [*a]\n",
    "flow nesting": lambda: "a: " + "[" * 10_000 + "]" * 10_000,
    "flow nesting of mappings": lambda: "{a: " * 10_000 + "}" * 10_000,
    "flow nesting without an end": lambda: "[" * 1_000_000,
    "block nesting": lambda: "".join(" " * i + f"a{i}:\n" for i in range(3_000)),
    "block nesting of lists": lambda: "- " * 10_000 + "a",
    "block nesting of keys": lambda: "? " * 10_000 + "a",
    "nesting in an engine's configuration": lambda: configuration("[" * 10_000),
    "alias bomb in an engine's configuration": lambda: configuration(bomb().replace("\n", "\n    ")),
    "nesting of parentheses": lambda: script("(" * 10_000),
    "nesting of substitutions": lambda: script("echo " + "$(" * 10_000),
    "nesting of expansions": lambda: script("echo " + "${a:-" * 10_000),
    "nesting of conditions": lambda: script("if true; then\n" * 10_000),
    "nesting of quotes in backquotes": lambda: script('echo "`' * 10_000),
    "nesting of JSON": lambda: script(f"{_LAUNCH} --kv-transfer-config '{'[' * 100_000}'"),
    "script of many words": lambda: script("python3 -m dynamo.vllm " + "--model x " * 100_000),
    "script of many lines": lambda: script("export A=$A$A\n" * 30_000),
    "script of many here-documents": lambda: script("cat <<EOF\n" * 20_000),
    "script of many launches": lambda: script(f"{_LAUNCH} &\n" * 5_000),
    "script of blanks": lambda: script("echo" + " \\\n" * 50_000),
    "script of quotes": lambda: script("'\"" * 50_000),
    "script of dollars": lambda: script("echo " + "$" * 100_000),
    "script of imports": lambda: script("snapshot_download as x " * 20_000),
    "script of calls": lambda: script("snapshot_download(" * 20_000),
    "script whose variables double": lambda: script("\n".join(["A=xx", *['A="$A$A"'] * 60])),
    "script whose variables grow": lambda: script("\n".join(["A=" + "x" * 9_000, *["A+=$A"] * 9_000])),
    "script of many variables and launches": lambda: script(
        "\n".join([*(f"export A{i}=1" for i in range(9_000)), *["python3 -m dynamo.vllm &"] * 5_000])
    ),
    "many scripts": lambda: script("true") + many(f"[sh, -c, '{_LAUNCH} {'-x y ' * 9_000}']"),
    "script that sets in arithmetic": lambda: script("${a" + "=" * 100_000),
    "environment that doubles": environment,
    "many components": lambda: GRAPH + "  components:\n" + "  - {name: a, type: worker}\n" * 20_000,
    "many documents": lambda: "---\n" + (CLAIM + "---\n") * 5_000,
    "many keys": lambda: "".join(f"k{i}: {i}\n" for i in range(200_000)),
    "one key many times": lambda: "k: 1\n" * 100_000,
    "many unknown fields": lambda: GRAPH + "".join(f"  f{i}: 1\n" for i in range(100_000)),
    "many comments": lambda: "# dynocheck: ignore[manifest.yaml] why\n" * 100_000 + CLAIM,
    "long line": lambda: "a: " + "x" * 9 * MIB,
    "long key": lambda: "x" * 9 * MIB + ": 1",
    "long name": lambda: CLAIM.replace("name: c", "name: " + "c-" * MIB + "c"),
    "long number": lambda: "a: " + "9" * 9 * MIB,
    "many quotes": lambda: '"' * 5 * MIB,
    "many blanks": lambda: " " * 9 * MIB + "a",
    "nothing but ends of lines": lambda: "\n" * 9 * MIB,
    "50 MB": lambda: (CLAIM + "---\n") * (50 * MIB // len(CLAIM)),
    "50 MB of zeros": lambda: bytes(50 * MIB),
    "NUL": lambda: CLAIM.replace("c", "c\0"),
    "UTF-16": lambda: CLAIM.encode("utf-16"),
    "UTF-32": lambda: CLAIM.encode("utf-32"),
    "latin-1": lambda: "# café\n".encode("latin-1") + CLAIM.encode(),
    "byte order mark": lambda: CLAIM.encode("utf-8-sig"),
    "lone surrogate": lambda: b"a: \xed\xa0\x80\n",
    "escaped lone surrogate": lambda: 'a: "\\ud800"\n' + CLAIM,
    "escaped NUL": lambda: CLAIM.replace("name: c", 'name: "\\0"'),
    "control characters": lambda: CLAIM.replace("name: c", 'name: "\\e[2J\\a\\x9b31m\\u202e"'),
    "markup": lambda: CLAIM.replace("name: c", "name: '[red]x[/red][/]'"),
    "object of Python": lambda: "a: !!python/object/apply:os.system ['touch pwned']\n" + CLAIM,
    "impossible date": lambda: CLAIM.replace("name: c", "name: 2026-99-99"),
    "integer of 4,000 digits": lambda: CLAIM.replace("1Gi", "9" * 4_000),
    "hexadecimal of a megabyte": lambda: CLAIM.replace("1Gi", "0x" + "f" * MIB),
    "quantity of an exponent": lambda: CLAIM.replace("1Gi", "1e999999999"),
    "releases of 5,000 digits": lambda: "---\n".join(
        script("true").replace("image: x:1", f"image: {image}")
        for image in (
            *(f"nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.{MANY}.0", f"vllm/vllm-openai:v0.{MANY}.0"),
            *(f"ghcr.io/ggml-org/llama.cpp:server-b{MANY}",),
            *(f"nvcr.io/nvidia/tensorrt-llm/release:1.{MANY}.0rc1",),
        )
    ),
    "replicas of 5,000 digits": lambda: (
        GRAPH.replace("v1beta1", "v1alpha1") + f"  services: {{w: {{replicas: '{MANY}'}}}}\n"
    ),
    "numbers of GPUs of 5,000 digits": lambda: (
        script(f"export CUDA_VISIBLE_DEVICES={MANY}\n{_LAUNCH}") + GPUS.format(1)
    ),
    "tags without an end": lambda: CLAIM.replace("name: c", "name: '" + "{{" * 200_000 + "'"),
    "a tag without an end in what is no YAML": lambda: "a: {{\n{{ " + "a" * MIB + "\n",
    "blanks where Flux substitutes": lambda: "postBuild:" + " " * MIB + "x\n" + CLAIM,
    "GPUs by the hundred digits": lambda: script("true") + GPUS.format("9" * 300),
}
