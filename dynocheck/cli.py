"""The command line. Each verb is imported only when it is called."""

import gc
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from dynocheck._version import __version__
from dynocheck.core.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

_USAGE = 2
_CRASH = 3
_INTERRUPTED = 130
_DEBUG = "DYNOCHECK_DEBUG"


def _combine_options(*options: Callable[[F], F]) -> Callable[[F], F]:
    def apply(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return apply


_check_options = _combine_options(
    click.option("--select", multiple=True, metavar="ID", help="Only these checks; ids or globs."),
    click.option("--skip", multiple=True, metavar="ID", help="Not these checks; ids or globs."),
    click.option("--config", metavar="FILE", help="Instead of dynocheck.toml or pyproject.toml."),
    click.option("--checks-dir", "checks_dirs", multiple=True, metavar="DIR", help="A folder of own checks."),
)
_kubeconfig_options = _combine_options(
    click.option("--kubeconfig", metavar="FILE", help="Instead of $KUBECONFIG or ~/.kube/config."),
    click.option("--context", metavar="NAME", help="A context of the kubeconfig."),
    click.option("-n", "--namespace", metavar="NAME", help="Instead of the namespace of the context."),
)
_cluster_options = _combine_options(
    _kubeconfig_options,
    click.option(
        "--timeout",
        "timeout_s",
        type=click.FloatRange(min=0, min_open=True),
        default=10.0,
        show_default=True,
        metavar="SECONDS",
        help="How long each look at the cluster may take.",
    ),
)
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
        help="table, json, junit, sarif, github, markdown or html, to standard output or a file. "
        "May be given several times.",
    ),
    click.option("--strict", is_flag=True, help="Warnings make the exit code 1."),
)
_report_options = _combine_options(
    _output_options,
    click.option("--snapshot", metavar="FILE", help="Judge a recording instead of a live cluster."),
)
_baseline_options = _combine_options(
    click.option("--baseline", metavar="FILE", help="Findings that this file holds do not count."),
    click.option("--write-baseline", metavar="FILE", help="Make all findings of this run the baseline."),
)
_endpoint_options = _combine_options(
    click.option("--url", metavar="URL", help="Where it serves, with or without /v1."),
    click.option("--model", metavar="NAME", help="Which model, where several are served."),
    click.option("--api-key-env", metavar="NAME", help="The variable of the environment that holds the key."),
    click.option("--api-key-file", metavar="FILE", help="The file that holds the key."),
    click.option("--ca-file", metavar="FILE", help="Certificates to trust, in PEM."),
    click.option("--insecure", is_flag=True, help="Take any certificate."),
    click.option(
        "--limit",
        "limits",
        multiple=True,
        metavar="LIMIT",
        help="What a load must keep, such as ttft.p95=500ms or error_rate=0.",
    ),
    click.option("--recipe", metavar="PATH", help="The recipe whose graph says what a load must keep."),
)
_recipe_option = click.option(
    "--recipe", "recipes", multiple=True, metavar="DIR", help="A recipe that is to run here."
)


def _make_common_options(
    baseline: str | None = None, write_baseline: str | None = None, diff: str | None = None, **given: Any
) -> Any:
    from dynocheck.commands._settings import CommonOptions
    from dynocheck.suppression.pipeline import SuppressionOptions

    return CommonOptions(aside=SuppressionOptions(baseline, write_baseline, diff), **given)


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dynocheck", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Is this cluster, recipe or deployment of NVIDIA Dynamo fit to serve, why not, and what to type.

    Exit codes: 0 fit, 1 not fit, 2 wrong usage, 3 could not tell, 130 interrupted.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@cli.command()
@_recipe_option
@_report_options
@_baseline_options
@_check_options
@_cluster_options
def preflight(recipes: tuple[str, ...], **given: Any) -> int:
    """Judge a cluster, before anything is deployed on it."""
    from dynocheck.commands import preflight

    return preflight.run(_make_common_options(**given), recipes)


@cli.command()
@click.argument("paths", nargs=-1, metavar="PATH...")
@click.option("--cluster", is_flag=True, help="Look at the live cluster too.")
@click.option("--crds", multiple=True, metavar="DIR", help="Definitions that judge custom objects exactly.")
@click.option("--engine-parser", is_flag=True, help="Flags are judged by vLLM itself, as installed here.")
@click.option("--diff", metavar="REV", help="Only what is not as it was at this git revision counts.")
@_report_options
@_baseline_options
@_check_options
@_cluster_options
def recipe(
    paths: tuple[str, ...], cluster: bool, crds: tuple[str, ...], engine_parser: bool, **given: Any
) -> int:
    """Judge recipe folders, variants, manifests, or a folder of models; offline."""
    from dynocheck.commands import recipe

    return recipe.run(
        _make_common_options(**given), paths, cluster=cluster, crds=crds, engine_parser=engine_parser
    )


@cli.command()
@click.argument("deployment", required=False, metavar="[DGD]")
@_endpoint_options
@click.option("--via", type=_VIA, help="The way to a deployment.")
@click.option(
    "--timeout",
    "budget_s",
    type=_POSITIVE,
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="How long it may take until it is ready.",
)
@click.option(
    "--request-timeout",
    "request_s",
    type=_POSITIVE,
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long one request may take after that.",
)
@click.option(
    "--requests",
    type=click.IntRange(1, 10_000),
    default=24,
    show_default=True,
    help="How many short requests must all be answered.",
)
@click.option("--tools", is_flag=True, help="The model must call a tool.")
@click.option("--structured", is_flag=True, help="The model must answer in JSON of a schema.")
@_output_options
@_check_options
@_kubeconfig_options
def smoke(**given: Any) -> int:
    """Ask a deployment, or a URL: is it ready, does it answer rightly and steadily, by every worker, and
    how does it bear a small load.

    DGD is the name of a DynamoGraphDeployment; it may be left out where the namespace has one only.
    """
    from dataclasses import fields

    from dynocheck.commands import smoke

    asked = {field.name: given.pop(field.name) for field in fields(smoke.SmokeOptions)}
    return smoke.run(_make_common_options(**given), smoke.SmokeOptions(**asked))


@cli.command()
@_check_options
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def checks(output: str, **given: Any) -> int:
    """List every check."""
    from dynocheck.commands import checks

    return checks.list_checks(_make_common_options(**given), output)


@cli.command()
@click.argument("id")
@click.option("--config", metavar="FILE", help="Instead of dynocheck.toml or pyproject.toml.")
@click.option("--checks-dir", "checks_dirs", multiple=True, metavar="DIR", help="A folder of own checks.")
def explain(id: str, **given: Any) -> int:  # noqa: A002
    """Say of one check why it matters and what mends it."""
    from dynocheck.commands import checks

    return checks.explain(_make_common_options(**given), id)


@cli.command()
@click.argument("file", default="-")
@_recipe_option
@_check_options
@_cluster_options
def snapshot(file: str, recipes: tuple[str, ...], **given: Any) -> int:
    """Record what can be seen of a cluster, to FILE or standard output, for --snapshot.

    Without --recipe it holds what any recipe may be judged by later: among other things the name, labels,
    node and requests of every pod that runs in the cluster. It holds no value of a secret.
    """
    from dynocheck.commands import snapshot

    return snapshot.run(_make_common_options(**given), file, recipes)


@cli.command()
@_check_options
@click.option("--smoke", is_flag=True, help="For a run of smoke on a deployment.")
@click.option("--via", type=_VIA, help="With --smoke: by this way to it, instead of any.")
@click.option("--load", is_flag=True, help="For a load by pods: load DGD --in-cluster --apply.")
def rbac(smoke: bool, via: str | None, load: bool, **given: Any) -> int:
    """Print the least roles for a run of preflight: one of the cluster, one of the namespace."""
    from dynocheck.commands import rbac

    return rbac.run(_make_common_options(**given), smoke=smoke, load=load, via=via)


@cli.command()
@_endpoint_options
@click.option("--concurrency", type=_COUNT, metavar="N", help="So many requests at a time; 4 unless given.")
@click.option(
    "--rate", type=_POSITIVE, metavar="R", help="Instead: so many requests a second, as they are due."
)
@click.option("--arrivals", type=click.Choice(["poisson", "constant"]), default="poisson", show_default=True)
@click.option("--sweep", metavar="N,N,...", help="Instead: several concurrencies, one after the other.")
@click.option(
    "--requests", type=_COUNT, metavar="N", help="How many are measured at each load; 32 unless given."
)
@click.option(
    "--duration", "duration_s", type=_POSITIVE, metavar="SECONDS", help="Instead of a number of them."
)
@click.option("--warmup", type=click.IntRange(min=0), default=4, show_default=True, help="Requests before.")
@click.option("--isl", type=_COUNT, default=128, show_default=True, help="About so many tokens in.")
@click.option("--osl", type=_COUNT, default=64, show_default=True, help="So many tokens out.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the prompts and the arrivals.")
@click.option("--prompts", metavar="FILE", help="Text, JSON lines or a mooncake trace, instead of made ones.")
@click.option("--completions", is_flag=True, help="Ask /v1/completions instead of the chat.")
@click.option("--workers", type=_COUNT, default=1, show_default=True, help="Processes that share the load.")
@click.option("--baseline", metavar="FILE", help="An earlier run to compare with.")
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=0.1,
    show_default=True,
    help="By which share a latency may be worse than in the baseline.",
)
@click.option("--save", metavar="FILE", help="Keep what was measured, for --from and --baseline.")
@click.option("--from", "recorded", metavar="FILE", help="Judge what was saved, instead of measuring.")
@click.option(
    "--timeout",
    "request_s",
    type=_POSITIVE,
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long each request may take.",
)
@click.option("--in-cluster", is_flag=True, help="Write a Job whose pods share the load.")
@click.option("--parallelism", type=click.IntRange(1, 64), metavar="N", help="How many pods; 2 unless given.")
@click.option("--apply", is_flag=True, help="Run that Job, report what it measured, and delete it.")
@click.option("--as-aiperf", is_flag=True, help="Write the Job that makes the same load with AIPerf.")
@click.option("--image", metavar="IMAGE", help="Of the Job: one that has dynocheck, or a Python for AIPerf.")
@click.option("--api-key-secret", metavar="NAME/KEY", help="The key of a Secret that the Job's pods read.")
@click.option("--tokenizer", metavar="NAME", help="AIPerf's, where the model's name is not that of one.")
@click.option("--claim", metavar="NAME", help="The claim on which AIPerf's results are kept.")
@click.option("--manifest", metavar="FILE", help="Write the Job there instead of to standard output.")
@click.option(
    "--engine",
    type=click.Choice(["vllm", "trtllm"]),
    help="Instead of a URL: the engine, in this process, with --model DIR and its own flags after --.",
)
@click.option("--worker", "place", hidden=True, metavar="I/N@HOST:PORT", help="Be one of the Job's pods.")
@_output_options
@_check_options
@_kubeconfig_options
@click.argument("words", nargs=-1, metavar="[DGD] [-- FLAG...]")
def load(words: tuple[str, ...], place: str | None, engine: str | None, **given: Any) -> int:
    """Put an endpoint under load, and say how it bears it.

    DGD is the name of a DynamoGraphDeployment, which a Job in its cluster puts under load.
    """
    from dataclasses import fields

    from dynocheck.commands import load

    wanted = load.LoadOptions(**{each.name: given.pop(each.name) for each in fields(load.LoadOptions)})
    if place is None and not (given["in_cluster"] or given["as_aiperf"]):
        return _run_local_load(words, wanted, engine, given)
    if engine is not None:
        raise UsageError("--engine: runs here, and in no Job")
    from dynocheck.commands import _load_jobs

    if place is not None:
        return _load_jobs.run_worker(wanted, place)
    if len(words) > 1:
        raise UsageError(f"{' '.join(words)}: one DynamoGraphDeployment at a time")
    names = {each.name for each in fields(_load_jobs.LoadJobOptions)} - {"deployment"}
    asked = _load_jobs.LoadJobOptions(next(iter(words), None), **{name: given.pop(name) for name in names})
    return _load_jobs.run(_make_common_options(**given), wanted, asked)


_JOB_OPTIONS = ("parallelism", "apply", "image", "api_key_secret", "tokenizer", "claim", "manifest")


def _run_local_load(words: tuple[str, ...], wanted: Any, engine: str | None, given: dict[str, Any]) -> int:
    odd = [f"--{name.replace('_', '-')}" for name in _JOB_OPTIONS if given.pop(name)]
    if odd or (words and engine is None):
        raise UsageError(f"{(odd or words)[0]}: only with --in-cluster or --as-aiperf")
    del given["in_cluster"], given["as_aiperf"]
    if engine is not None:
        from dynocheck.commands import _load_engine

        return _load_engine.run(_make_common_options(**given), wanted, engine, words)
    from dynocheck.commands import load

    return load.run(_make_common_options(**given), wanted)


@cli.command()
def demo() -> int:
    """Judge a recorded cluster, a reference recipe and a simulated engine: no cluster, no GPU needed."""
    from dynocheck.commands import demo

    return demo.run()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, of this process unless another is given, and return its exit code."""
    collecting = gc.isenabled()
    gc.disable()  # a run is short and makes hardly any cycles; looking for them takes a tenth of it
    try:
        return _run(arguments)
    finally:
        if arguments is None:
            gc.freeze()  # the process ends here; Python would look through all of it once more, in 40 ms
        if collecting:
            gc.enable()


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = cli.main(arguments, prog_name="dynocheck", standalone_mode=False)
        sys.stdout.flush()
    except UsageError as error:
        return _print_error(str(error), _USAGE)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        return _print_error(error.format_message(), _USAGE)
    except (KeyboardInterrupt, click.Abort):
        return _print_error("interrupted", _INTERRUPTED)
    except BrokenPipeError:
        # The reader has gone, as head does. Nothing is left to flush into the closed pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _CRASH
    except Exception as error:
        if os.environ.get(_DEBUG):
            raise
        from dynocheck.core.runner import describe_crash

        return _print_error(f"{describe_crash(error)}: a fault of ours; {_DEBUG}=1 shows where", _CRASH)
    return code or 0


def _print_error(message: str, code: int) -> int:
    from dynocheck.reports._text import sanitize

    click.echo(f"error: {sanitize(' '.join(message.split()))}", err=True)
    return code
