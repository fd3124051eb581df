"""The command line. A verb's module is imported when the verb is called."""

import gc
import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dynocheck._version import __version__
from dynocheck.commands import _streams as streams
from dynocheck.commands._help import Verb
from dynocheck.core.cancellation import INTERRUPTED, convert_interrupt, handle_sigterm
from dynocheck.core.errors import UsageError
from dynocheck.core.options import CommonOptions
from dynocheck.secrets import forget

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from dynocheck.commands.load import LoadOptions

F = TypeVar("F", bound=Callable[..., Any])
OptionsT = TypeVar("OptionsT", bound="DataclassInstance")

_USAGE = 2
_CRASH = 3
_COMPLETE = "_DYNOCHECK_COMPLETE"


def _combine_options(*options: Callable[[F], F]) -> Callable[[F], F]:
    def apply(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return apply


def _complete_checks(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
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
_config_options = _combine_options(
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
_check_options = _combine_options(
    click.option(
        "--select",
        multiple=True,
        metavar="ID",
        shell_complete=_complete_checks,
        help="Run only these checks: ids, areas or globs (repeatable).",
    ),
    click.option(
        "--skip",
        multiple=True,
        metavar="ID",
        shell_complete=_complete_checks,
        help="Skip these checks: ids, areas or globs (repeatable).",
    ),
    _config_options,
)
_kubeconfig_options = _combine_options(
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
_cluster_options = _combine_options(_kubeconfig_options, _probe_timeout_option)
_UNITS = {"s": 1, "m": 60, "h": 3600}


def _parse_duration(_: click.Context, __: click.Parameter, text: str) -> float:
    """The seconds of a time such as 90, 90s, 30m or 1h."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    if not (number.isascii() and number.isdecimal() and len(number) < 7):
        raise click.BadParameter(f"{text!r} is not a time such as 90s, 30m or 1h")
    return float(number) * _UNITS[unit]


_VIA = click.Choice(["proxy", "dns", "gateway"])
_COUNT = click.IntRange(min=1)
_POSITIVE = click.FloatRange(min=0, min_open=True)
_output_options = _combine_options(
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
_report_options = _combine_options(
    _output_options,
    click.option("--snapshot", metavar="FILE", help="Evaluate a snapshot file instead of a live cluster."),
)
_baseline_options = _combine_options(
    click.option("--baseline", metavar="FILE", help="Suppress the findings in this baseline file."),
    click.option(
        "--write-baseline", metavar="FILE", help="Write all findings of this run to a baseline file."
    ),
)
_endpoint_options = _combine_options(
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
_recipe_option = click.option(
    "--recipe",
    "recipes",
    multiple=True,
    metavar="DIR",
    help="Recipe to check against this cluster (repeatable).",
)
_hub_option = click.option("--hub", is_flag=True, help="Ask the Hugging Face hub for the recipe's models.")


def _pop_options(kind: type[OptionsT], options: dict[str, Any]) -> OptionsT:
    """Options of this dataclass, taken out of those of the command line."""
    from dataclasses import fields

    names = {field.name for field in fields(kind)} & options.keys()
    return kind(**{name: options.pop(name) for name in names})


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dynocheck", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Check whether a cluster, recipe or deployment of NVIDIA Dynamo is fit to serve, and how to fix it.

    Exit codes: 0 fit, 1 not fit, 2 wrong usage, 3 could not tell, 130 interrupted.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@cli.command(
    cls=Verb,
    examples=(
        "dynocheck preflight --context prod -n models",
        "dynocheck preflight --recipe recipes/deepseek-r1 -o table -o junit=dynocheck.xml",
    ),
)
@_recipe_option
@_hub_option
@_report_options
@_baseline_options
@_check_options
@_cluster_options
def preflight(recipes: tuple[str, ...], hub: bool, **options: Any) -> int:
    """Check a cluster, and with --recipe whether a recipe fits it, before deployment."""
    from dynocheck.commands import preflight

    return preflight.run(CommonOptions(**options), recipes, hub=hub)


@cli.command(
    cls=Verb,
    examples=(
        "dynocheck recipe recipes/llama-3-70b",
        "dynocheck recipe recipes --diff origin/main --strict -o github",
    ),
)
@click.argument("paths", nargs=-1, metavar="PATH...")
@click.option("--cluster", is_flag=True, help="Check the recipes against the live cluster too.")
@click.option(
    "--crds",
    multiple=True,
    metavar="DIR",
    help="Directory with CRDs to validate custom objects (repeatable).",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    help="Value for ${NAME} in templates, as envsubst fills it in (repeatable).",
)
@click.option(
    "--env-file",
    "env_files",
    multiple=True,
    metavar="FILE",
    help="File with NAME=VALUE lines for ${NAME} in templates (repeatable).",
)
@click.option("--engine-parser", is_flag=True, help="Check flags with the locally installed vLLM too.")
@_hub_option
@click.option("--diff", metavar="REV", help="Report only findings that are new since this git revision.")
@_report_options
@_baseline_options
@_check_options
@_cluster_options
def recipe(paths: tuple[str, ...], **options: Any) -> int:
    """Check recipe folders, variants, manifests, or a folder of models, offline."""
    from dynocheck.commands import recipe

    return recipe.run(_pop_options(CommonOptions, options), paths, **options)


@cli.command(
    cls=Verb,
    examples=(
        "dynocheck smoke my-graph -n models",
        "dynocheck smoke --url http://127.0.0.1:8000 --limit ttft.p90=500ms",
    ),
)
@click.argument("deployment", required=False, metavar="[DGD]")
@_endpoint_options
@click.option("--via", type=_VIA, help="How to reach the deployment (default: the first that works).")
@click.option(
    "--timeout",
    "budget_s",
    type=_POSITIVE,
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="Timeout until the deployment is ready, in seconds.",
)
@click.option(
    "--request-timeout",
    "request_s",
    type=_POSITIVE,
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Timeout per request after that, in seconds.",
)
@click.option(
    "--requests",
    type=click.IntRange(1, 10_000),
    default=24,
    show_default=True,
    help="Number of short requests, all of which must succeed.",
)
@click.option("--tools", is_flag=True, help="Require the model to call a tool.")
@click.option("--structured", is_flag=True, help="Require structured output: JSON that matches a schema.")
@_output_options
@_check_options
@_kubeconfig_options
def smoke(**options: Any) -> int:
    """Test a deployment or URL: readiness, correct answers from every worker, and a small load.

    DGD is the name of a DynamoGraphDeployment; it can be omitted if the namespace has only one.
    """
    from dynocheck.commands import smoke

    smoke_options = _pop_options(smoke.SmokeOptions, options)
    return smoke.run(CommonOptions(**options), smoke_options)


@cli.command(
    cls=Verb,
    examples=(
        "dynocheck node",
        "dynocheck node --expect-gpu 8 --release 1.6.1 -o table -o junit=node.xml",
    ),
)
@click.option("--expect-gpu", "gpus", type=click.IntRange(min=0), metavar="N", help="Require N GPUs.")
@click.option(
    "--release", metavar="VERSION", help="Dynamo release to judge for (default: the installed one)."
)
@_report_options
@_baseline_options
@_check_options
@_probe_timeout_option
def node(gpus: int | None, release: str | None, **options: Any) -> int:
    """Check the machine or pod that this runs in: GPUs, driver, RDMA, limits, engines and model cache."""
    from dynocheck.commands import node

    return node.run(CommonOptions(**options), gpus=gpus, release=release)


@cli.command(
    cls=Verb,
    examples=(
        "dynocheck diagnose llama-70b -n models",
        "dynocheck diagnose deployment/vllm -n models --wait 30m -o junit=rollout.xml",
    ),
)
@click.argument("deployment", required=False, default="", metavar="[DGD | KIND/NAME]")
@click.option(
    "--wait",
    "wait_s",
    callback=_parse_duration,
    default="0",
    metavar="TIME",
    help="Wait until it serves, or cannot, for at most this time, such as 90s or 30m.",
)
@click.option(
    "--prometheus",
    metavar="URL",
    help="Take metrics from this Prometheus server, over 5 minutes, instead of from the pods.",
)
@click.option("--prometheus-token-env", metavar="NAME", help="Environment variable with its bearer token.")
@click.option(
    "--compare",
    metavar="FILE",
    help="List what changed since this snapshot of when it served, made by snapshot --workloads.",
)
@click.option(
    "--since", metavar="TIME", help="List what changed since then, such as 2h or 2026-11-29T08:00:00Z."
)
@_report_options
@_check_options
@_cluster_options
def diagnose(
    deployment: str,
    wait_s: float,
    prometheus: str | None,
    prometheus_token_env: str | None,
    compare: str | None,
    since: str | None,
    **options: Any,
) -> int:
    """Explain why a deployment does not serve: from its graph to pods, claims, nodes, events and logs.

    Without a name it explains whatever runs in the namespace.
    """
    from dynocheck.commands import diagnose

    if prometheus_token_env and not prometheus:
        raise UsageError("--prometheus-token-env: only with --prometheus")
    extra = diagnose.DiagnoseOptions(prometheus, prometheus_token_env, compare, since)
    return diagnose.run(CommonOptions(**options), deployment, wait_s, extra)


@cli.command(
    cls=Verb,
    examples=(
        "dynocheck checks",
        "dynocheck checks --select gpu -o json",
    ),
)
@_check_options
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def checks(output: str, **options: Any) -> int:
    """List every check."""
    from dynocheck.commands import checks

    return checks.list_checks(CommonOptions(**options), output)


@cli.command(
    cls=Verb,
    examples=(
        "dynocheck explain storage.default-class",
        "dynocheck explain gpu",
    ),
)
@click.argument("pattern", metavar="ID", shell_complete=_complete_checks)
@_config_options
def explain(pattern: str, **options: Any) -> int:
    """Explain a check: why it matters and how to fix it.

    ID is an id, an area or a glob, as for --select; several checks are explained briefly.
    """
    from dynocheck.commands import checks

    return checks.explain(CommonOptions(**options), pattern)


@cli.command(
    cls=Verb,
    examples=(
        "dynocheck config",
        "dynocheck config recipes/llama-3-70b -o json",
    ),
)
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@_config_options
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def config(paths: tuple[str, ...], output: str, **options: Any) -> int:
    """Print the configuration of a run on these paths, and the file of each value."""
    from dynocheck.commands import config

    return config.run(CommonOptions(**options), paths, output)


@cli.command(
    cls=Verb,
    examples=(
        "dynocheck snapshot cluster.json --context prod",
        "dynocheck snapshot cluster.json --recipe recipes/deepseek-r1",
        "dynocheck snapshot node.json --node",
        "dynocheck snapshot support.tar.gz --bundle -n models",
    ),
)
@click.argument("file", default="-")
@click.option("--node", is_flag=True, help="Record the machine that this runs in, not a cluster.")
@_recipe_option
@_hub_option
@click.option(
    "--workloads",
    is_flag=True,
    help="Record what runs in the namespace too, with its events and logs, for diagnose --snapshot.",
)
@click.option(
    "--bundle",
    is_flag=True,
    help="Write a support bundle: FILE is a .tar.gz with the snapshot, reports, events and logs.",
)
@_check_options
@_cluster_options
def snapshot(
    file: str,
    recipes: tuple[str, ...],
    node: bool,
    hub: bool,
    workloads: bool,
    bundle: bool,
    **options: Any,
) -> int:
    """Record a cluster, or with --node a machine, to FILE or standard output, for --snapshot.

    Without --recipe, the snapshot holds the facts for any recipe, among them the name, labels, node and
    requests of every pod in the cluster. It holds no secret values.
    """
    from dynocheck.commands import snapshot

    common = CommonOptions(**options)
    if node and (recipes or hub or workloads or bundle):
        raise UsageError("--node: not with --recipe, --hub, --workloads or --bundle")
    if node:
        return snapshot.record_node(common, file)
    return snapshot.run(common, file, recipes, hub=hub, workloads=workloads, bundle=bundle)


@cli.command(
    cls=Verb,
    examples=(
        "dynocheck rbac --bind user:alice | kubectl apply -n models -f -",
        "dynocheck rbac --smoke --bind serviceaccount:ci:robot",
    ),
)
@_check_options
@click.option("--smoke", is_flag=True, help="The roles for smoke on a deployment.")
@click.option("--via", type=_VIA, help="With --smoke: how it reaches the deployment (default: any).")
@click.option("--load", is_flag=True, help="The roles for load DGD --in-cluster --apply.")
@click.option("--diagnose", is_flag=True, help="The roles for diagnose.")
@click.option(
    "--bind",
    multiple=True,
    metavar="SUBJECT",
    help="Bind the roles to user:NAME, group:NAME or serviceaccount:NAMESPACE:NAME (repeatable).",
)
@click.option("--name", default="dynocheck", show_default=True, help="Name of the roles.")
@click.option(
    "--configmap",
    "configmaps",
    multiple=True,
    metavar="NAME",
    help="ConfigMap to read besides those of the default installation (repeatable).",
)
def rbac(
    smoke: bool,
    via: str | None,
    load: bool,
    diagnose: bool,
    bind: tuple[str, ...],
    name: str,
    configmaps: tuple[str, ...],
    **options: Any,
) -> int:
    """Print the minimal ClusterRole and Role for preflight, for kubectl apply -n NAMESPACE -f -."""
    from dynocheck.commands import rbac

    return rbac.run(
        CommonOptions(**options),
        smoke=smoke,
        load=load,
        diagnose=diagnose,
        via=via,
        bind=bind,
        name=name,
        configmaps=configmaps,
    )


@cli.command(
    cls=Verb,
    examples=(
        "dynocheck load --url http://127.0.0.1:8000 --concurrency 32 --requests 256",
        "dynocheck load my-graph --in-cluster --apply -n models --image registry.example/dynocheck",
    ),
)
@_endpoint_options
@click.option(
    "--concurrency", type=_COUNT, metavar="N", help="Concurrent requests (closed loop)  [default: 4]"
)
@click.option(
    "--rate", type=_POSITIVE, metavar="R", help="Requests per second (open loop), instead of --concurrency."
)
@click.option(
    "--arrivals",
    type=click.Choice(["poisson", "constant"]),
    default="poisson",
    show_default=True,
    help="Arrival process for --rate.",
)
@click.option("--sweep", metavar="N,N,...", help="Several concurrencies, one after the other.")
@click.option("--requests", type=_COUNT, metavar="N", help="Measured requests per load  [default: 32]")
@click.option(
    "--duration",
    "duration_s",
    type=_POSITIVE,
    metavar="SECONDS",
    help="Seconds per load, instead of --requests.",
)
@click.option(
    "--warmup",
    type=click.IntRange(min=0),
    default=4,
    show_default=True,
    help="Warm-up requests, not measured.",
)
@click.option(
    "--isl", type=_COUNT, default=128, show_default=True, help="Approximate input sequence length in tokens."
)
@click.option("--osl", type=_COUNT, default=64, show_default=True, help="Output sequence length in tokens.")
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Random seed for prompts and arrival times."
)
@click.option(
    "--prompts",
    metavar="FILE",
    help="Prompts from text, JSON lines or a Mooncake trace (default: synthetic).",
)
@click.option("--completions", is_flag=True, help="Use /v1/completions instead of /v1/chat/completions.")
@click.option("--workers", type=_COUNT, default=1, show_default=True, help="Processes that share the load.")
@click.option("--baseline", metavar="FILE", help="Saved run to compare with.")
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=0.1,
    show_default=True,
    help="Allowed latency increase over the baseline, as a fraction.",
)
@click.option("--save", metavar="FILE", help="Save the measurements, for --from and --baseline.")
@click.option("--from", "recorded", metavar="FILE", help="Evaluate a saved run instead of measuring.")
@click.option(
    "--timeout",
    "request_s",
    type=_POSITIVE,
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Timeout per request, in seconds.",
)
@click.option("--in-cluster", is_flag=True, help="Write a Job whose pods share the load.")
@click.option("--parallelism", type=click.IntRange(1, 64), metavar="N", help="Number of pods  [default: 2]")
@click.option("--cpu", metavar="CPU", help="CPU that each of the pods requests  [default: 1]")
@click.option("--apply", is_flag=True, help="Run that Job, report its measurements, and delete it.")
@click.option("--as-aiperf", is_flag=True, help="Write a Job that runs the same load with AIPerf.")
@click.option("--image", metavar="IMAGE", help="Image of the Job: with dynocheck, or with Python for AIPerf.")
@click.option("--api-key-secret", metavar="NAME/KEY", help="Secret with the API key, for the Job's pods.")
@click.option("--tokenizer", metavar="NAME", help="Tokenizer for AIPerf (default: the model name).")
@click.option("--claim", metavar="NAME", help="PersistentVolumeClaim for AIPerf's results.")
@click.option("--manifest", metavar="FILE", help="File to write the Job to (default: standard output).")
@click.option(
    "--engine",
    type=click.Choice(["vllm", "trtllm"]),
    help="Load-test this engine in-process instead of a URL; with --model DIR, and engine flags after --.",
)
@click.option("--worker", "place", hidden=True, metavar="I/N@HOST:PORT", help="Run as a pod of the Job.")
@_output_options
@_check_options
@_kubeconfig_options
@click.argument("words", nargs=-1, metavar="[DGD] [-- FLAG...]")
def load(words: tuple[str, ...], place: str | None, engine: str | None, **options: Any) -> int:
    """Load-test an endpoint.

    DGD is the name of a DynamoGraphDeployment, for a load test by a Job in its cluster.
    """
    from dynocheck.commands import load

    load_options = _pop_options(load.LoadOptions, options)
    if place is None and not (options["in_cluster"] or options["as_aiperf"]):
        return _run_local_load(words, load_options, engine, options)
    if engine is not None:
        raise UsageError("--engine: not with --in-cluster or --as-aiperf")
    from dynocheck.commands import _load_jobs

    if place is not None:
        return _load_jobs.run_worker(load_options, place)
    if len(words) > 1:
        raise UsageError(f"{' '.join(words)}: give only one DynamoGraphDeployment")
    job_options = _pop_options(_load_jobs.LoadJobOptions, {"deployment": next(iter(words), None), **options})
    return _load_jobs.run(_pop_options(CommonOptions, options), load_options, job_options)


_JOB_OPTIONS = ("parallelism", "cpu", "apply", "image", "api_key_secret", "tokenizer", "claim", "manifest")


def _run_local_load(
    words: tuple[str, ...], load_options: "LoadOptions", engine: str | None, options: dict[str, Any]
) -> int:
    job_options = [f"--{name.replace('_', '-')}" for name in _JOB_OPTIONS if options[name]]
    if job_options or (words and engine is None):
        raise UsageError(f"{(job_options or words)[0]}: only with --in-cluster or --as-aiperf")
    common = _pop_options(CommonOptions, options)
    if engine is not None:
        from dynocheck.commands import _load_engine

        return _load_engine.run(common, load_options, engine, words)
    from dynocheck.commands import load

    return load.run(common, load_options)


@cli.command(
    cls=Verb,
    examples=(
        "dynocheck demo",
        "NO_COLOR=1 dynocheck demo | less",
    ),
)
def demo() -> int:
    """Check a recorded cluster, a reference recipe and a simulated engine; needs no cluster and no GPU."""
    from dynocheck.commands import demo

    return demo.run()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code.

    :param arguments: without the program name; None for those of this process.
    """
    forget()
    if arguments is None:
        streams.secure()
        handle_sigterm()
    was_enabled = gc.isenabled()
    gc.disable()  # a run is short and makes few cycles; collecting takes a tenth of its time
    try:
        code = convert_interrupt(_run(arguments))
        return code if streams.flush() else _USAGE
    finally:
        if arguments is None:
            gc.freeze()  # the process ends here: saves a last collection of 40 ms
        if was_enabled:
            gc.enable()


def _run(arguments: Sequence[str] | None) -> int:
    give_up = partial(_print_error, sys.argv[1:] if arguments is None else arguments, time.time())
    try:
        code = cli.main(arguments, prog_name="dynocheck", standalone_mode=False)
    except UsageError as error:
        return give_up(str(error), _USAGE)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        return give_up(error.format_message(), _USAGE)
    except (KeyboardInterrupt, click.Abort):
        return give_up("interrupted", INTERRUPTED)
    except SystemExit as end:
        # So click ends a completion, and when the reader of a pipe, such as head, has closed it.
        return int(end.code or 0) if _COMPLETE in os.environ else _USAGE
    except MemoryError:
        return give_up("out of memory", _CRASH)
    except OSError as error:
        about = f"{error.filename}: " if error.filename else ""
        gone = isinstance(error, FileNotFoundError) and not error.filename
        hint = " (is the working folder gone?)" if gone else ""
        return give_up(f"{about}{error.strerror or error}{hint}", _USAGE)
    except Exception as error:
        from dynocheck.core.crashes import DEBUG, describe_crash

        crash = describe_crash(error)
        return give_up(f"{crash}: a bug in dynocheck; set {DEBUG}=1 for the traceback", _CRASH)
    return code or 0


def _print_error(arguments: Sequence[str], started: float, message: str, code: int) -> int:
    """Print why the run was given up, and tell the readers of its reports."""
    from dynocheck.reports._text import sanitize
    from dynocheck.reports.outputs import report_error

    message = sanitize(" ".join(message.split()))
    click.echo(f"error: {message}", err=True)
    report_error(message, arguments, started)
    return code
