"""URLs of engines: their Services, ports and models."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.network.upstreams import upstreams
from tests.checks.judging import deploy, judge, places, recipes
from tests.checks.manifests import config_map, dump_objects
from tests.checks.test_servers import VLLM, serve

SERVED = serve(VLLM, "--model", "org/chat", "--served-model-name", "chat", "chat-8b")
SERVICE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "chat-svc"},
    "spec": {"selector": {"app": "e"}, "ports": [{"port": 80, "targetPort": 8000}, {"port": 9000}]},
}


def call(url: str, *args: str) -> dict[str, Any]:
    """A gateway with a URL in a variable."""
    pod = {
        "containers": [
            {"name": "c", "image": "gateway:1", "env": [{"name": "URL", "value": url}], "args": [*args]}
        ]
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "gateway"},
        "spec": {
            "selector": {"matchLabels": {"a": "g"}},
            "template": {"metadata": {"labels": {"a": "g"}}, "spec": pod},
        },
    }


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (call("http://chat-svc"), []),
        (call("http://chat-svc:80/v1"), []),
        (call("http://chat-svc.default.svc.cluster.local:9000/v1"), ["skip"]),  # of another namespace
        (call("http://chat-svc:8000/v1"), ["fail"]),  # the pods' port, not the Service's
        (call("https://chat-svc/v1"), ["fail"]),
        (call("https://chat-svc"), []),  # the program may add a port
        (call("x", "--backend=http://chat-svc:8080"), ["fail"]),
        (call("x", "--backend", "http://chat-svc:8080/v1"), ["fail"]),
        (call("http://e:80/v1"), ["warn"]),  # the Deployment's name
        (call("http://chat-svc/v1;http://chat-svc:8000/v1"), ["fail"]),
        (call("x", "--static-backends", "http://chat-svc:8000, http://chat-svc:8001"), ["fail", "fail"]),
        (call("http://chat-svc/v1;https://api.example.com/v1"), []),
        (call("http://other:8000"), ["skip"]),
        (call("https://chat-svc.example.com:8443"), ["skip"]),
        (call("http://localhost:8000"), ["skip"]),
        (call("see http://chat-svc:8000 there"), ["skip"]),
    ],
)
def test_the_port_and_the_name_of_a_service(tmp_path: Path, one: dict[str, Any], expected: list[str]) -> None:
    assert judge(upstreams, deploy(tmp_path, SERVED, SERVICE, one)) == expected


@pytest.mark.parametrize(
    "spec", [{"clusterIP": "None"}, {"type": "ExternalName", "externalName": "a.example"}]
)
def test_a_service_without_an_address_has_no_ports_of_its_own(tmp_path: Path, spec: dict[str, Any]) -> None:
    bare = SERVICE | {"spec": SERVICE["spec"] | spec}
    assert judge(upstreams, deploy(tmp_path, SERVED, bare, call("http://chat-svc:8000"))) == []


def test_a_variant_may_have_a_service_of_the_same_name(tmp_path: Path) -> None:
    other = SERVICE | {"spec": SERVICE["spec"] | {"ports": [{"port": 8000}]}}
    one = call("http://chat-svc:8000")
    given = recipes(tmp_path, a__a=dump_objects(SERVED, SERVICE), b__b=dump_objects(SERVED, other, one))
    assert judge(upstreams, given) == []
    assert judge(upstreams, deploy(tmp_path / "c", SERVED, SERVICE, other, one)) == []


def litellm(model: str, base: str = "http://chat-svc/v1") -> dict[str, Any]:
    return config_map("router") | {
        "data": {
            "config.yaml": "model_list:\n"
            "  - model_name: far\n"
            "    litellm_params:\n"
            "      model: anthropic/claude\n"
            "  - model_name: near\n"
            "    litellm_params:\n"
            f"      model: {model}  # as vLLM has it\n"
            f'      api_base: "{base}"\n'
            "router_settings: {num_retries: 2}\n"
        }
    }


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (litellm("openai/chat"), []),
        (litellm("hosted_vllm/chat-8b"), []),
        (litellm("openai/org/chat"), ["fail"]),  # --served-model-name replaces it
        (litellm("openai/other"), ["fail"]),
        (litellm("huggingface/other"), []),
        (litellm("openai/chat", "http://chat-svc:8000/v1"), ["fail"]),
        (litellm("openai/other", "http://chat-svc:8000/v1"), ["fail", "fail"]),
        (litellm("openai/other", "http://e/v1"), ["warn"]),
        (litellm("openai/other", "os.environ/BASE"), ["skip"]),
    ],
)
def test_models_of_a_router(tmp_path: Path, one: dict[str, Any], expected: list[str]) -> None:
    assert judge(upstreams, deploy(tmp_path, SERVED, SERVICE, one)) == expected


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        (serve(VLLM, "--model", "org/chat"), ["fail"]),
        (serve(VLLM, "--model", "other"), []),
        (serve(VLLM, "--model", "$(MODEL)"), []),
        (serve(VLLM, "--model", "org/chat", "--enable-lora"), []),  # adapters have names of their own
    ],
)
def test_names_that_an_engine_serves(tmp_path: Path, server: dict[str, Any], expected: list[str]) -> None:
    assert judge(upstreams, deploy(tmp_path, server, SERVICE, litellm("openai/other"))) == expected


def test_a_finding_is_on_the_line_of_the_configuration(tmp_path: Path) -> None:
    given = deploy(tmp_path, SERVED, SERVICE, litellm("openai/other", "http://chat-svc:1/v1"))
    rows = (tmp_path / "deploy.yaml").read_text().splitlines()
    found = [rows[int(place.rsplit(":", 1)[1]) - 1].split()[0] for _, place in places(upstreams, given)]
    assert found == ["api_base:", "model:"]


def test_a_recipe_without_such_urls(tmp_path: Path) -> None:
    assert judge(upstreams, deploy(tmp_path, SERVED)) == ["skip"]
