"""The options that several verbs share, and those of a load test."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

F = TypeVar("F", bound=Callable[..., Any])
OptionsT = TypeVar("OptionsT", bound="DataclassInstance")


def _combine_options(*options: Callable[[F], F]) -> Callable[[F], F]:
    def apply(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return apply


def complete_checks(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """The ids and areas that begin with what the user typed, for the shell."""
    from dynocheck.core.registry import load

    names = {name for check in load(installed=False).checks for name in (check.id, check.area)}
    return sorted(name for name in names if name.startswith(incomplete))


_config_option = click.option(
    "--config", metavar="FILE", help="Path to the configuration (default: dynocheck.toml or pyproject.toml)."
)
_checks_dir_option = click.option(
    "--checks-dir",
    "checks_dirs",
    multiple=True,
    metavar="DIR",
    help="Directory with custom checks (repeatable).",
)
_no_plugins_option = click.option(
    "--no-plugins",
    is_flag=True,
    help="Load no installed plug-ins and no checks-dirs of the configuration.",
)
config_options = _combine_options(
    _config_option,
    click.option(
        "--trust-config",
        is_flag=True,
        help="Load the checks-dirs of configuration that is found, and let it silence every check.",
    ),
    click.option(
        "--isolated",
        is_flag=True,
        help="Ignore the configuration, comments and baselines of the judged tree.",
    ),
    _checks_dir_option,
    _no_plugins_option,
)
check_options = _combine_options(
    click.option(
        "--select",
        multiple=True,
        metavar="ID",
        shell_complete=complete_checks,
        help="Run only these checks: ids, areas or globs (repeatable).",
    ),
    click.option(
        "--skip",
        multiple=True,
        metavar="ID",
        shell_complete=complete_checks,
        help="Skip these checks: ids, areas or globs (repeatable).",
    ),
    config_options,
)
kubeconfig_options = _combine_options(
    click.option(
        "--kubeconfig",
        metavar="FILE",
        help="Path to the kubeconfig (default: $KUBECONFIG, then ~/.kube/config).",
    ),
    click.option("--context", metavar="NAME", help="Kubeconfig context (default: the current context)."),
    click.option("-n", "--namespace", metavar="NAME", help="Namespace (default: that of the context)."),
)
_probe_timeout_option = click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Timeout per probe, in seconds.",
)
cluster_options = _combine_options(kubeconfig_options, _probe_timeout_option)
_UNITS = {"s": 1, "m": 60, "h": 3600}


def parse_duration(_: click.Context, __: click.Parameter, text: str) -> float:
    """The seconds of a time such as 90, 90s, 30m or 1h."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    if not (number.isascii() and number.isdecimal() and len(number) < 7):
        raise click.BadParameter(f"{text!r} is not a time such as 90s, 30m or 1h")
    return float(number) * _UNITS[unit]


VIA = click.Choice(["proxy", "dns", "gateway"])
COUNT = click.IntRange(min=1)
POSITIVE = click.FloatRange(min=0, min_open=True)
output_options = _combine_options(
    click.option(
        "-o",
        "--output",
        "outputs",
        multiple=True,
        metavar="FORMAT[=FILE]",
        help="Output format: table, json, junit, sarif, github, markdown or html; to standard output or a "
        "file (repeatable).",
    ),
    click.option("--strict", is_flag=True, help="Exit with code 1 on warnings, and 3 on what is not judged."),
    click.option(
        "-v",
        "--verbose",
        "detail",
        flag_value="verbose",
        help="List every check, and every place of a finding.",
    ),
    click.option("-q", "--quiet", "detail", flag_value="quiet", help="Print the verdict alone."),
)
report_options = _combine_options(
    output_options,
    click.option("--snapshot", metavar="FILE", help="Evaluate a snapshot file instead of a live cluster."),
)
baseline_options = _combine_options(
    click.option("--baseline", metavar="FILE", help="Suppress the findings in this baseline file."),
    click.option(
        "--write-baseline", metavar="FILE", help="Write all findings of this run to a baseline file."
    ),
)
endpoint_options = _combine_options(
    click.option("--url", metavar="URL", help="URL of the endpoint, with or without /v1."),
    click.option("--model", metavar="NAME", help="Model name, if the endpoint serves several."),
    click.option("--api-key-env", metavar="NAME", help="Environment variable with the API key."),
    click.option("--api-key-file", metavar="FILE", help="File with the API key."),
    click.option("--ca-file", metavar="FILE", help="PEM file with CA certificates to trust."),
    click.option("--insecure", is_flag=True, help="Skip TLS certificate verification."),
    click.option(
        "--limit",
        "limits",
        multiple=True,
        metavar="LIMIT",
        help="Service-level objective to enforce, e.g. ttft.p95=500ms or error_rate=0 (repeatable).",
    ),
    click.option("--recipe", metavar="PATH", help="Recipe whose graph sets the service-level objectives."),
)
recipe_option = click.option(
    "--recipe",
    "recipes",
    multiple=True,
    metavar="DIR",
    help="Recipe to check against this cluster (repeatable).",
)
node_reports_option = click.option(
    "--with",
    "node_reports",
    metavar="FILE",
    help="What GPU nodes said of themselves, written by dynocheck node --cluster --record FILE.",
)
hub_option = click.option("--hub", is_flag=True, help="Ask the Hugging Face hub for the recipe's models.")


def pop_options(kind: type[OptionsT], options: dict[str, Any]) -> OptionsT:
    """Options of this dataclass, taken out of those of the command line."""
    from dataclasses import fields

    names = {field.name for field in fields(kind)} & options.keys()
    return kind(**{name: options.pop(name) for name in names})


load_test_options = _combine_options(
    click.option(
        "--concurrency", type=COUNT, metavar="N", help="Concurrent requests (closed loop)  [default: 4]"
    ),
    click.option(
        "--rate",
        type=POSITIVE,
        metavar="R",
        help="Requests per second (open loop), instead of --concurrency.",
    ),
    click.option(
        "--arrivals",
        type=click.Choice(["poisson", "constant"]),
        default="poisson",
        show_default=True,
        help="Arrival process for --rate.",
    ),
    click.option("--sweep", metavar="N,N,...", help="Several concurrencies, one after the other."),
    click.option("--requests", type=COUNT, metavar="N", help="Measured requests per load  [default: 32]"),
    click.option(
        "--duration",
        "duration_s",
        type=POSITIVE,
        metavar="SECONDS",
        help="Seconds per load, instead of --requests.",
    ),
    click.option(
        "--warmup",
        type=click.IntRange(min=0),
        default=4,
        show_default=True,
        help="Warm-up requests, not measured.",
    ),
    click.option(
        "--isl",
        type=COUNT,
        default=128,
        show_default=True,
        help="Approximate input sequence length in tokens.",
    ),
    click.option(
        "--osl", type=COUNT, default=64, show_default=True, help="Output sequence length in tokens."
    ),
    click.option(
        "--seed", type=int, default=0, show_default=True, help="Random seed for prompts and arrival times."
    ),
    click.option(
        "--prompts",
        metavar="FILE",
        help="Prompts from text, JSON lines or a Mooncake trace (default: synthetic).",
    ),
    click.option("--completions", is_flag=True, help="Use /v1/completions instead of /v1/chat/completions."),
    click.option(
        "--workers", type=COUNT, default=1, show_default=True, help="Processes that share the load."
    ),
    click.option("--baseline", metavar="FILE", help="Saved run to compare with."),
    click.option(
        "--tolerance",
        type=click.FloatRange(min=0),
        default=0.1,
        show_default=True,
        help="Allowed latency increase over the baseline, as a fraction.",
    ),
    click.option("--save", metavar="FILE", help="Save the measurements, for --from and --baseline."),
    click.option("--from", "recorded", metavar="FILE", help="Evaluate a saved run instead of measuring."),
    click.option(
        "--timeout",
        "request_s",
        type=POSITIVE,
        default=60.0,
        show_default=True,
        metavar="SECONDS",
        help="Timeout per request, in seconds.",
    ),
    click.option("--in-cluster", is_flag=True, help="Write a Job whose pods share the load."),
    click.option(
        "--parallelism", type=click.IntRange(1, 64), metavar="N", help="Number of pods  [default: 2]"
    ),
    click.option("--cpu", metavar="CPU", help="CPU that each of the pods requests  [default: 1]"),
    click.option("--apply", is_flag=True, help="Run that Job, report its measurements, and delete it."),
    click.option("--as-aiperf", is_flag=True, help="Write a Job that runs the same load with AIPerf."),
    click.option(
        "--image", metavar="IMAGE", help="Image of the Job: with dynocheck, or with Python for AIPerf."
    ),
    click.option("--api-key-secret", metavar="NAME/KEY", help="Secret with the API key, for the Job's pods."),
    click.option("--tokenizer", metavar="NAME", help="Tokenizer for AIPerf (default: the model name)."),
    click.option("--claim", metavar="NAME", help="PersistentVolumeClaim for AIPerf's results."),
    click.option("--manifest", metavar="FILE", help="File to write the Job to (default: standard output)."),
    click.option(
        "--engine",
        type=click.Choice(["vllm", "trtllm"]),
        help="Load-test this engine in-process instead of a URL; with --model DIR, and engine flags "
        "after --.",
    ),
    click.option("--worker", "place", hidden=True, metavar="I/N@HOST:PORT", help="Run as a pod of the Job."),
)
