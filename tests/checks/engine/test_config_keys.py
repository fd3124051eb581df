"""Keys of engines' files and JSON, with one mistake."""

from pathlib import Path

import pytest

from dynocheck.checks.engine import config_keys, flags
from dynocheck.facts import Recipes
from tests.checks.judging import deploy, get_skip_reason, judge, outcomes, read_lines, run_check
from tests.checks.manifests import config_map, engine, graph, mount_config
from tests.checks.test_servers import serve

SGLANG, VLLM = "sglang-runtime:1.3.0", "vllm-runtime:1.3.0"
CONFIG = ["--config", "/etc/engine/worker.yaml"]
KV, SPECULATIVE, COMPILATION = "--kv-transfer-config", "--speculative-config", "--compilation-config"


def launch(folder: Path, image: str, args: list[str], file: str = "") -> Recipes:
    """The recipe of a worker that is started with these arguments, and a file that it may read."""
    module = "dynamo." + image.partition("-")[0].replace("tensorrtllm", "trtllm")
    image = f"nvcr.io/nvidia/ai-dynamo/{image}"
    worker = engine(*args, module=module, image=image, model=None, **mount_config("engine", "/etc/engine"))
    return deploy(folder, graph(worker), config_map("engine", worker=file))


@pytest.mark.parametrize(
    ("image", "args", "file"),
    [
        (
            SGLANG,
            CONFIG,
            "tp-size: 2\nmodel-path: m\nenable-dp-attention: true\ntrust_remote_code: false\ntp: 2",
        ),
        (SGLANG, ["--disagg-config", CONFIG[1], "--disagg-config-key", "p"], "p: {tp: 2}\ndecode: {typo: 3}"),
        (
            VLLM,
            CONFIG,
            "tensor_parallel_size: 2\nenforce-eager: false\ntensor-para: 2\nno-enforce-eager: true",
        ),
        (VLLM, CONFIG, "compilation-config: {mode: 3, pass_config: {fuse_norm_quant: true}}"),
        (VLLM, CONFIG, "compilation-config.mode: 3\nserved-model-name: []"),
        (VLLM, [KV, '{"kv_connector": "NixlConnector", "kv_role": "kv_both"}'], ""),
        (VLLM, [KV, '{"kv_connector_extra_config": {"anything": {"at": "all"}}}'], ""),
        (VLLM, [f"{KV}.kv_role", "kv_both", "-cc.pass_config.fuse_norm_quant=true"], ""),
        (VLLM, [SPECULATIVE, '{"method": "eagle3", "model": "m", "num_speculative_tokens": 3}'], ""),
        (VLLM, [KV, "$KV", COMPILATION, "no JSON"], ""),
    ],
)
def test_keys_that_engines_take(tmp_path: Path, image: str, args: list[str], file: str) -> None:
    given = launch(tmp_path, image, args, file)
    assert outcomes(config_keys.config_keys, given) == []
    assert outcomes(flags.values, given) == []


@pytest.mark.parametrize(
    ("image", "file", "outcome", "fix"),
    [
        (SGLANG, "tensor-paralel-size: 2", "fail", "tensor-parallel-size"),
        (SGLANG, "tp_size: 2", "fail", "tp-size"),
        (SGLANG, "enable-dp-atention: false", "fail", "enable-dp-attention"),
        (
            SGLANG,
            "disaggregation-mode: prefill\nendpoint: dyn://a.b.c",
            "fail",
            "remove endpoint   # or use an image whose release has it",
        ),
        (VLLM, "max-modle-len: 2", "fail", "max-model-len"),
        (VLLM, "enable-e: true", "fail", "enable-elastic-ep"),
        (
            VLLM,
            "seed: 1\ncompilation-config:\n  pass_config:\n    fuse_norm_quantt: true",
            "fail",
            "fuse_norm_quant",
        ),
        (VLLM, "enforce-eagre: false", "warn", "enforce-eager"),  # vLLM ignores it
    ],
)
def test_keys_that_engines_lack(tmp_path: Path, image: str, file: str, outcome: str, fix: str) -> None:
    given = launch(tmp_path, image, CONFIG, file)
    (finding,) = run_check(config_keys.config_keys, given)
    fix = fix if " " in fix else f"replace {file.splitlines()[-1].split(':')[0].strip()} with {fix}"
    assert (finding.outcome, (finding.fix or "").partition("   # ")[0]) == (
        outcome,
        fix.partition("   # ")[0],
    )
    assert read_lines(config_keys.config_keys, given) == [file.splitlines()[-1].strip()]


@pytest.mark.parametrize(
    ("args", "fix"),
    [
        ([KV, '{"kv_conector": "NixlConnector"}'], "replace kv_conector with kv_connector"),
        (['--kv_events_config={"publisherr": "zmq"}'], "replace publisherr with publisher"),
        (["--kv-events-config.publisherr", "zmq"], "replace publisherr with publisher"),
        (["-cc.pass_config.fuse_norm_quantt=true"], "replace fuse_norm_quantt with fuse_norm_quant"),
        ([SPECULATIVE, '{"methd": "ngram"}'], "replace methd with method"),
    ],
)
def test_keys_in_json(tmp_path: Path, args: list[str], fix: str) -> None:
    given = launch(tmp_path, VLLM, args)
    (finding,) = run_check(config_keys.config_keys, given)
    assert (finding.outcome, finding.fix) == ("fail", fix)
    assert args[0] in read_lines(config_keys.config_keys, given)[0]


@pytest.mark.parametrize(("image", "expected"), [(SGLANG, "warn"), (VLLM, "fail")])
def test_config_and_its_path_must_be_two_words(tmp_path: Path, image: str, expected: str) -> None:
    given = launch(tmp_path, image, ["=".join(CONFIG)], "typo: 1")
    assert outcomes(config_keys.config_keys, given) == [expected]
    assert read_lines(config_keys.config_keys, given) == [f"- {'='.join(CONFIG)}"]


@pytest.mark.parametrize(
    ("release", "args", "expected"),
    [
        ("1.0.0", [COMPILATION, '{"level": 3}'], []),
        ("1.1.0", [COMPILATION, '{"level": 3}'], ["fail"]),
        ("1.1.0", [SPECULATIVE, '{"speculative_token_tree": "[(0,)]"}'], []),
        ("1.6.1", [SPECULATIVE, '{"speculative_token_tree": "[(0,)]"}'], ["fail"]),
    ],
)
def test_keys_of_the_release(tmp_path: Path, release: str, args: list[str], expected: list[str]) -> None:
    given = launch(tmp_path, f"vllm-runtime:{release}", args)
    assert outcomes(config_keys.config_keys, given) == expected


@pytest.mark.parametrize(
    ("image", "file"),
    [
        (SGLANG, "tp-size: two"),
        (SGLANG, "disaggregation-mode: prefil"),
        (SGLANG, "enable-dp-attention: 'true'"),
        (VLLM, "gpu-memory-utilization: 90"),
        (VLLM, "enforce-eager: 'yes'"),
        (VLLM, "max-model-len: true"),
    ],
)
def test_values_in_a_file(tmp_path: Path, image: str, file: str) -> None:
    given = launch(tmp_path, image, CONFIG, file)
    assert outcomes(flags.values, given) == ["fail"]
    assert read_lines(flags.values, given) == [file]


@pytest.mark.parametrize(
    ("image", "args", "file", "reason"),
    [
        (VLLM, CONFIG, "- a", "no engine has"),
        (VLLM, CONFIG, "", "no engine has"),
    ],
)
def test_files_not_judged(tmp_path: Path, image: str, args: list[str], file: str, reason: str) -> None:
    assert reason in get_skip_reason(config_keys.config_keys, launch(tmp_path, image, args, file))


TRTLLM = "tensorrtllm-runtime:1.3.0"
EXTRA = ["--extra-engine-args", CONFIG[1]]


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("kv_cache_config: {free_gpu_memory_fraction: 0.9, dtype: fp8}\ntensor_parallel_size: 8", []),
        ("speculative_config: {decoding_type: MTP, num_nextn_predict_layers: 3}", []),
        ("kv_cache_config: {free_gpu_memory_fracton: 0.9}", ["warn"]),
        ("tensor_paralel_size: 8", ["warn"]),
        ("tensor-parallel-size: 8", ["warn"]),
        ("kv_cache_config: {dytpe: fp8, freeGpuMemoryFraction: 0.9}", ["warn", "warn"]),
        ("something_of_its_own: 1", ["unjudged"]),
        ("use_cuda_graph: true\nkv_cache_dtype: fp8", ["fail", "fail"]),
        ("cuda_graph_config: {padding_enabled: true}", ["fail"]),
        ("moe_config: {load_balancer: {anything: 1}}", []),
        ("free_gpu_memory_fraction: 0.9", ["warn"]),  # of kv_cache_config
        ("moe_config: {tensor_parallel_size: 2}", ["warn"]),  # of the top
        ("moe_config: {max_batch_size: 2}", ["unjudged"]),  # of several
        ("custom_tokenizer: deepseek_v32", []),
    ],
)
def test_keys_of_tensorrt_llm(tmp_path: Path, file: str, expected: list[str]) -> None:
    assert judge(config_keys.config_keys, launch(tmp_path, TRTLLM, EXTRA, file)) == expected


@pytest.mark.parametrize(
    ("tag", "expected"),
    [("0.3.0", ["unjudged"]), ("1.0.0", ["fail"]), ("my-tag", ["warn"]), ("9.9.9", ["warn"])],
)
def test_former_keys_by_release(tmp_path: Path, tag: str, expected: list[str]) -> None:
    given = launch(tmp_path, f"tensorrtllm-runtime:{tag}", EXTRA, "use_cuda_graph: true")
    assert judge(config_keys.config_keys, given) == expected


@pytest.mark.parametrize(
    ("tag", "file", "expected"),
    [
        ("1.2.0", "kv_cache_config: {dtype: fp8}", []),
        ("1.2.0", "kv_cache_config: {dtyp: fp8}", ["warn"]),
        ("1.2.0", "use_cuda_graph: true", ["fail"]),
        ("0.20.0", "use_cuda_graph: true", ["unjudged"]),
        ("1.2.0", "backend: _autodeploy\ncuda_graph_batch_sizes: [1, 2]", ["unjudged"]),
        ("latest", "use_cuda_graph: true", ["unjudged"]),
        ("1.2.0", "enable_block_reuse: false", ["warn"]),
    ],
)
@pytest.mark.parametrize("flag", ["--config", "--extra_llm_api_options"])
def test_keys_of_trtllm_serve(tmp_path: Path, tag: str, file: str, expected: list[str], flag: str) -> None:
    mounted = mount_config("engine", "/engine")
    args = ["trtllm-serve", "a/b", flag, "/engine/file.yaml"]
    image = f"nvcr.io/nvidia/tensorrt-llm/release:{tag}"
    server = serve(image, *args, pod=mounted["pod"], **mounted["main"])
    given = deploy(tmp_path, server, config_map("engine", file=file))
    assert judge(config_keys.config_keys, given) == expected


@pytest.mark.parametrize("image", [SGLANG, VLLM])
def test_a_file_that_is_no_yaml_ends_the_engine(tmp_path: Path, image: str) -> None:
    given = launch(tmp_path, image, CONFIG, "tp-size: 2\n page-size: 4\n: 5\n")
    assert outcomes(config_keys.config_keys, given) == ["fail"]
    assert read_lines(config_keys.config_keys, given) == ["page-size: 4"]


def test_sizes_of_trtllm_serve_are_whole_numbers(tmp_path: Path) -> None:
    mounted = mount_config("engine", "/engine")
    args = ["trtllm-serve", "a/b", "--config", "/engine/file.yaml"]
    server = serve("nvcr.io/nvidia/tensorrt-llm/release:1.2.0", *args, pod=mounted["pod"], **mounted["main"])
    given = deploy(tmp_path, server, config_map("engine", file="max_seq_len: 128k\nmax_batch_size: 8"))
    assert "fail" in judge(flags.values, given)


def test_files_of_two_workers_may_have_one_path(tmp_path: Path) -> None:
    workers = [
        engine(
            *EXTRA, name=name, module="dynamo.trtllm", image=TRTLLM, model=None, **mount_config(name, folder)
        )
        for name in ("a", "b")
        for folder in [str(Path(EXTRA[1]).parent)]
    ]
    held = [config_map(name, **{Path(EXTRA[1]).stem: "use_cuda_graph: true"}) for name in ("a", "b")]
    found = judge(config_keys.config_keys, deploy(tmp_path, graph(*workers), *held))
    assert found == ["fail", "fail"]


@pytest.mark.parametrize(("release", "expected"), [("1.5.1", []), ("1.6.0", ["fail"]), ("1.7.0", ["fail"])])
def test_autodeploy_is_gone(tmp_path: Path, release: str, expected: list[str]) -> None:
    given = launch(tmp_path, f"tensorrtllm-runtime:{release}", EXTRA, "backend: _autodeploy")
    assert judge(config_keys.config_keys, given) == expected


def write(*lines: str, to: str = "cat > /tmp/e/w.yaml", end: str = "'EOF'") -> str:
    """A script that writes an engine's file and starts the engine with it."""
    text = "\n".join(lines)
    return f"mkdir -p /tmp/e\n{to} <<{end}\n{text}\nEOF\nexec python3 -m dynamo.sglang --config /tmp/e/w.yaml"


@pytest.mark.parametrize(
    ("script", "expected", "line"),
    [
        (write("tp-size: 2", "page-size: 16"), [], ""),
        (write("tp-size: 2", "paeg-size: 16"), ["fail"], "paeg-size: 16"),
        (write("paeg-size: 16", to="tee /tmp/e/../e/w.yaml", end="EOF"), ["fail"], "paeg-size: 16"),
        (write("tp-size: $TP", end="EOF"), ["unjudged"], ""),  # what the shell makes of it is unknown
        (write("tp-size: 2", to="cat >> /tmp/e/w.yaml"), ["unjudged"], ""),
        (write("tp-size: 2", to="cat > /tmp/other.yaml"), ["unjudged"], ""),
        (f"{write('tp-size: 2')}\n{write('tp-size: 4')}", ["unjudged"] * 2, ""),
    ],
)
def test_the_file_that_a_worker_s_script_writes(
    tmp_path: Path, script: str, expected: list[str], line: str
) -> None:
    image = f"nvcr.io/nvidia/ai-dynamo/{SGLANG}"
    given = deploy(tmp_path, graph(engine(image=image, main={"command": ["sh", "-c"], "args": [script]})))
    assert judge(config_keys.config_keys, given) == expected
    assert read_lines(config_keys.config_keys, given) == [line] * bool(line)


@pytest.mark.parametrize(
    ("path", "folder", "start", "expected"),
    [
        ("configs/worker.yaml", "/app", "", ["warn"]),
        ("./configs/worker.yaml", "/app/", "", ["warn"]),
        ("worker.yaml", "/app/configs", "", ["warn"]),
        ("configs/worker.yaml", "/elsewhere", "", ["unjudged"]),
        ("configs/worker.yaml", "", "", ["unjudged"]),  # in the image's folder, which is unknown
        ("configs/worker.yaml", "/app", "cd sub; ", ["unjudged"]),
    ],
)
def test_a_file_is_found_from_the_working_directory(
    tmp_path: Path, path: str, folder: str, start: str, expected: list[str]
) -> None:
    mounted = mount_config("engine", "/app/configs")
    script = f"{start}python3 -m dynamo.trtllm --model-path m --extra-engine-args {path}"
    main = {**mounted["main"], "command": ["sh", "-c"], "args": [script], "workingDir": folder}
    image = "nvcr.io/nvidia/ai-dynamo/tensorrtllm-runtime:1.3.0"
    worker = engine(image=image, main=main, pod=mounted["pod"])
    given = deploy(tmp_path, graph(worker), config_map("engine", worker="tensor_parallel_siz: 2"))
    assert judge(config_keys.config_keys, given) == expected


FORMER, MOUNTED = "/workspace/components/backends/vllm", {"name": "v", "mountPath": "/workspace"}


@pytest.mark.parametrize(
    ("path", "main", "image", "expected"),
    [
        ("a/b.yaml", {"workingDir": FORMER}, "vllm-runtime:1.3.0", ["fail"]),
        (f"{FORMER}/b.yaml", {}, "vllm-runtime:1.3.0", ["fail"]),
        ("components/backends/vllm/b.yaml", {}, "vllm-runtime:1.3.0", ["fail"]),
        (f"{FORMER}/b.yaml", {}, "vllm-runtime:own", ["warn"]),
        (f"{FORMER}/b.yaml", {}, "vllm-runtime:0.5.0", ["unjudged"]),
        (f"{FORMER}/b.yaml", {}, "mine:1.3.0", ["unjudged"]),
        ("/c/b.yaml", {"workingDir": FORMER}, "vllm-runtime:1.3.0", ["unjudged"]),
        (f"{FORMER}/b.yaml", {"volumeMounts": [MOUNTED]}, "vllm-runtime:1.3.0", ["unjudged"]),
        ("a/b.yaml", {"workingDir": "/workspace/examples"}, "vllm-runtime:1.3.0", ["unjudged"]),
    ],
)
def test_a_file_where_images_had_their_examples(
    tmp_path: Path, path: str, main: dict[str, object], image: str, expected: list[str]
) -> None:
    one = graph(engine("--config", path, image=f"nvcr.io/nvidia/ai-dynamo/{image}", main=main))
    assert judge(config_keys.config_keys, deploy(tmp_path, one)) == expected
