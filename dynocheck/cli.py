"""The command line. A verb's module is imported when the verb is called."""

import gc
import os
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from dynocheck._version import __version__
from dynocheck.commands import _streams as streams
from dynocheck.commands._help import Verb
from dynocheck.commands._memory import share_arena
from dynocheck.commands._options import (
    POSITIVE,
    VIA,
    baseline_options,
    check_options,
    cluster_options,
    complete_checks,
    config_options,
    endpoint_options,
    hub_option,
    kubeconfig_options,
    load_test_options,
    node_reports_option,
    output_options,
    parse_duration,
    pop_options,
    recipe_option,
    report_options,
)
from dynocheck.core.cancellation import INTERRUPTED, convert_interrupt, handle_sigterm
from dynocheck.core.errors import UsageError
from dynocheck.core.options import CommonOptions
from dynocheck.secrets import forget

if TYPE_CHECKING:
    from dynocheck.commands.load import LoadOptions

_USAGE = 2
_CRASH = 3
_COMPLETE = "_DYNOCHECK_COMPLETE"


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
@recipe_option
@hub_option
@node_reports_option
@report_options
@baseline_options
@check_options
@cluster_options
def preflight(recipes: tuple[str, ...], hub: bool, node_reports: str | None, **options: Any) -> int:
    """Check a cluster, and with --recipe whether a recipe fits it, before deployment."""
    from dynocheck.commands import preflight

    return preflight.run(CommonOptions(**options), recipes, hub=hub, node_reports=node_reports)


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
@hub_option
@node_reports_option
@click.option("--diff", metavar="REV", help="Report only findings that are new since this git revision.")
@report_options
@baseline_options
@check_options
@cluster_options
def recipe(paths: tuple[str, ...], **options: Any) -> int:
    """Check recipe folders, variants, manifests, or a folder of models, offline."""
    from dynocheck.commands import recipe

    return recipe.run(pop_options(CommonOptions, options), paths, **options)


@cli.command(
    cls=Verb,
    examples=(
        "dynocheck smoke my-graph -n models",
        "dynocheck smoke deployment/vllm -n models",
        "dynocheck smoke --url http://127.0.0.1:8000 --limit ttft.p90=500ms",
    ),
)
@click.argument("deployment", required=False, metavar="[DGD | KIND/NAME]")
@endpoint_options
@click.option("--via", type=VIA, help="How to reach the deployment (default: the first that works).")
@click.option(
    "--timeout",
    "budget_s",
    type=POSITIVE,
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="Timeout until the deployment is ready, in seconds.",
)
@click.option(
    "--request-timeout",
    "request_s",
    type=POSITIVE,
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Timeout per request after that, in seconds.",
)
@click.option(
    "--cluster-timeout",
    "timeout_s",
    type=POSITIVE,
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Timeout per request to the API server, in seconds.",
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
@output_options
@check_options
@kubeconfig_options
def smoke(**options: Any) -> int:
    """Test a deployment or URL: readiness, correct answers from every worker, and a small load.

    DGD is the name of a DynamoGraphDeployment; it can be omitted if the namespace has only one. KIND/NAME is
    a Deployment, StatefulSet, LeaderWorkerSet, InferenceService or Service, as in kubectl.
    """
    from dynocheck.commands import smoke

    smoke_options = pop_options(smoke.SmokeOptions, options)
    return smoke.run(CommonOptions(**options), smoke_options)


@cli.command(
    cls=Verb,
    examples=(
        "dynocheck node",
        "dynocheck node --expect-gpu 8 --release 1.6.1 -o table -o junit=node.xml",
        "dynocheck node --cluster --apply --image registry.example/dynocheck --record node.json",
    ),
)
@click.option("--expect-gpu", "gpus", type=click.IntRange(min=0), metavar="N", help="Require N GPUs.")
@click.option(
    "--release", metavar="VERSION", help="Dynamo release to judge for (default: the installed one)."
)
@click.option(
    "--exercise",
    is_flag=True,
    help="Let each GPU copy and multiply through torch or cupy, for 60 s at most.",
)
@click.option(
    "--transfer",
    is_flag=False,
    flag_value="",
    metavar="[HOST[:PORT]]",
    help="Measure transfers among the GPUs with NCCL's all_reduce_perf, or with HOST through nixlbench or "
    "ib_write_bw, for 60 s at most. HOST is one of two machines that run this at the same time.",
)
@report_options
@click.option("--cluster", is_flag=True, help="Write a DaemonSet that looks at each GPU node of a cluster.")
@click.option("--apply", is_flag=True, help="Run that DaemonSet, judge what it sees, and delete it.")
@click.option(
    "--record", metavar="FILE", help="Write what the nodes said, for --snapshot and for --with of preflight."
)
@click.option("--image", metavar="IMAGE", help="Image of the DaemonSet, with dynocheck installed.")
@click.option("--pull-secret", metavar="NAME", help="Secret of the namespace with which the image is pulled.")
@click.option(
    "--node-selector",
    "node_selectors",
    multiple=True,
    metavar="KEY=VALUE",
    help="Labels of the nodes to look at (repeatable)  [default: nvidia.com/gpu.present=true]",
)
@click.option(
    "--tolerate",
    "tolerations",
    multiple=True,
    metavar="KEY[=VALUE][:EFFECT]",
    help="Taints to tolerate besides nvidia.com/gpu (repeatable).",
)
@click.option(
    "--runtime-class", metavar="NAME", help="RuntimeClass of the NVIDIA runtime, where not default."
)
@click.option(
    "--kernel-log", is_flag=True, help="Look for XIDs in the kernel logs too, with privileged pods."
)
@click.option(
    "--wait",
    "wait_s",
    callback=parse_duration,
    default="2m",
    show_default=True,
    metavar="TIME",
    help="Longest time to wait for the nodes.",
)
@click.option("--agent", is_flag=True, hidden=True, help="Run as a pod of the DaemonSet.")
@baseline_options
@check_options
@cluster_options
def node(
    gpus: int | None,
    release: str | None,
    exercise: bool,
    transfer: str | None,
    agent: bool,
    **options: Any,
) -> int:
    """Check the machine or pod that this runs in: GPUs, driver, RDMA, limits, engines and model cache.

    With --cluster, check the machines of all GPU nodes of a cluster.
    """
    from dynocheck.commands import _node_cluster, node

    nodes = pop_options(_node_cluster.ClusterOptions, options)
    common = CommonOptions(**options)
    if agent:
        return _node_cluster.write_facts(common, node.this_machine())
    return node.run(common, nodes, gpus=gpus, release=release, exercise=exercise, transfer=transfer)


@cli.command(
    cls=Verb,
    examples=(
        "dynocheck diagnose llama-70b -n models",
        "dynocheck diagnose deployment/vllm -n models --wait 30m -o junit=rollout.xml",
        "dynocheck diagnose llama-70b -n models --watch",
    ),
)
@click.argument("deployment", required=False, default="", metavar="[DGD | KIND/NAME]")
@click.option(
    "--wait",
    "wait_s",
    callback=parse_duration,
    default="0",
    metavar="TIME",
    help="Wait until it serves, or cannot, for at most this time, such as 90s or 30m.",
)
@click.option(
    "--watch",
    is_flag=True,
    help="Show its pods and what blocks them with each change, until it serves, cannot, or --wait is over.",
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
@report_options
@check_options
@cluster_options
def diagnose(
    deployment: str,
    wait_s: float,
    watch: bool,
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
    return diagnose.run(CommonOptions(**options), deployment, wait_s, extra, watch=watch)


@cli.command(
    cls=Verb,
    examples=(
        "dynocheck checks",
        "dynocheck checks --select gpu -o json",
    ),
)
@check_options
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
@click.argument("pattern", metavar="ID", shell_complete=complete_checks)
@config_options
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
@config_options
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
@recipe_option
@hub_option
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
@check_options
@cluster_options
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
@check_options
@click.option("--smoke", is_flag=True, help="The roles for smoke on a deployment.")
@click.option("--via", type=VIA, help="With --smoke: how it reaches the deployment (default: any).")
@click.option("--workload", is_flag=True, help="With --smoke: for KIND/NAME instead of a graph.")
@click.option("--load", is_flag=True, help="The roles for load DGD --in-cluster --apply.")
@click.option("--node", is_flag=True, help="The roles for node --cluster --apply -n NAMESPACE.")
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
    workload: bool,
    load: bool,
    node: bool,
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
        node=node,
        diagnose=diagnose,
        via=via,
        workload=workload,
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
@endpoint_options
@load_test_options
@output_options
@check_options
@kubeconfig_options
@click.argument("words", nargs=-1, metavar="[DGD | KIND/NAME] [-- FLAG...]")
def load(words: tuple[str, ...], place: str | None, engine: str | None, **options: Any) -> int:
    """Load-test an endpoint.

    DGD is the name of a DynamoGraphDeployment, or KIND/NAME of a workload as for smoke, for a load test by a
    Job in its cluster.
    """
    from dynocheck.commands import load

    load_options = pop_options(load.LoadOptions, options)
    if place is None and not (options["in_cluster"] or options["as_aiperf"]):
        return _run_local_load(words, load_options, engine, options)
    if engine is not None:
        raise UsageError("--engine: not with --in-cluster or --as-aiperf")
    from dynocheck.commands import _load_jobs

    if place is not None:
        return _load_jobs.run_worker(load_options, place)
    if len(words) > 1:
        raise UsageError(f"{' '.join(words)}: give only one DynamoGraphDeployment")
    job_options = pop_options(_load_jobs.LoadJobOptions, {"deployment": next(iter(words), None), **options})
    return _load_jobs.run(pop_options(CommonOptions, options), load_options, job_options)


_JOB_OPTIONS = ("parallelism", "cpu", "apply", "image", "api_key_secret", "tokenizer", "claim", "manifest")


def _run_local_load(
    words: tuple[str, ...], load_options: "LoadOptions", engine: str | None, options: dict[str, Any]
) -> int:
    job_options = [f"--{name.replace('_', '-')}" for name in _JOB_OPTIONS if options[name]]
    if job_options or (words and engine is None):
        raise UsageError(f"{(job_options or words)[0]}: only with --in-cluster or --as-aiperf")
    common = pop_options(CommonOptions, options)
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
        share_arena()
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
