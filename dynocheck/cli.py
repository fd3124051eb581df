"""The command line. Each verb is imported only when it is called."""

import gc
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from dynocheck import __version__
from dynocheck.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

_USAGE = 2
_CRASH = 3
_INTERRUPTED = 130
_DEBUG = "DYNOCHECK_DEBUG"


def _options(*options: Callable[[F], F]) -> Callable[[F], F]:
    def apply(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return apply


_choosing = _options(
    click.option("--select", multiple=True, metavar="ID", help="Only these checks; ids or globs."),
    click.option("--skip", multiple=True, metavar="ID", help="Not these checks; ids or globs."),
    click.option("--config", metavar="FILE", help="Instead of dynocheck.toml or pyproject.toml."),
    click.option("--checks-dir", "checks_dirs", multiple=True, metavar="DIR", help="A folder of own checks."),
)
_reaching = _options(
    click.option("--kubeconfig", metavar="FILE", help="Instead of $KUBECONFIG or ~/.kube/config."),
    click.option("--context", metavar="NAME", help="A context of the kubeconfig."),
    click.option("-n", "--namespace", metavar="NAME", help="Instead of the namespace of the context."),
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
_reporting = _options(
    click.option(
        "-o",
        "--output",
        "outputs",
        multiple=True,
        metavar="FORMAT[=FILE]",
        help="table, json, junit, sarif or github, to standard output or a file. May be given several times.",
    ),
    click.option("--strict", is_flag=True, help="Warnings make the exit code 1."),
    click.option("--snapshot", metavar="FILE", help="Judge a recording instead of a live cluster."),
)
_baselines = _options(
    click.option("--baseline", metavar="FILE", help="Findings that this file holds do not count."),
    click.option("--write-baseline", metavar="FILE", help="Make all findings of this run the baseline."),
)
_recipe = click.option(
    "--recipe", "recipes", multiple=True, metavar="DIR", help="A recipe that is to run here."
)


def _choices(
    baseline: str | None = None, write_baseline: str | None = None, diff: str | None = None, **given: Any
) -> Any:
    from dynocheck.commands.aside import Wanted
    from dynocheck.commands.judging import Choices

    return Choices(aside=Wanted(baseline, write_baseline, diff), **given)


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
@_recipe
@_reporting
@_baselines
@_choosing
@_reaching
def preflight(recipes: tuple[str, ...], **given: Any) -> int:
    """Judge a cluster, before anything is deployed on it."""
    from dynocheck.commands import preflight

    return preflight.run(_choices(**given), recipes)


@cli.command()
@click.argument("paths", nargs=-1, metavar="PATH...")
@click.option("--cluster", is_flag=True, help="Look at the live cluster too.")
@click.option("--crds", multiple=True, metavar="DIR", help="Definitions that judge custom objects exactly.")
@click.option("--diff", metavar="REV", help="Only what is not as it was at this git revision counts.")
@_reporting
@_baselines
@_choosing
@_reaching
def recipe(paths: tuple[str, ...], cluster: bool, crds: tuple[str, ...], **given: Any) -> int:
    """Judge recipe folders, variants, manifests, or a folder of models; offline."""
    from dynocheck.commands import recipe

    return recipe.run(_choices(**given), paths, cluster=cluster, crds=crds)


@cli.command()
@_choosing
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def checks(output: str, **given: Any) -> int:
    """List every check."""
    from dynocheck.commands import checks

    return checks.listing(_choices(**given), output)


@cli.command()
@click.argument("id")
@click.option("--config", metavar="FILE", help="Instead of dynocheck.toml or pyproject.toml.")
@click.option("--checks-dir", "checks_dirs", multiple=True, metavar="DIR", help="A folder of own checks.")
def explain(id: str, **given: Any) -> int:  # noqa: A002
    """Say of one check why it matters and what mends it."""
    from dynocheck.commands import checks

    return checks.explain(_choices(**given), id)


@cli.command()
@click.argument("file", default="-")
@_recipe
@_choosing
@_reaching
def snapshot(file: str, recipes: tuple[str, ...], **given: Any) -> int:
    """Record what can be seen of a cluster, to FILE or standard output, for --snapshot."""
    from dynocheck.commands import snapshot

    return snapshot.run(_choices(**given), file, recipes)


@cli.command()
@_choosing
def rbac(**given: Any) -> int:
    """Print the least roles for a run of preflight: one of the cluster, one of the namespace."""
    from dynocheck.commands import rbac

    return rbac.run(_choices(**given))


@cli.command()
def demo() -> int:
    """Judge a recorded cluster and a reference recipe: no cluster, no GPU needed."""
    from dynocheck.commands import demo

    return demo.run()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, of this process unless another is given, and return its exit code."""
    collecting = gc.isenabled()
    gc.disable()  # a run is short and makes hardly any cycles; looking for them takes a tenth of it
    try:
        return _run(arguments)
    finally:
        if collecting:
            gc.enable()


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = cli.main(arguments, prog_name="dynocheck", standalone_mode=False)
        sys.stdout.flush()
    except UsageError as error:
        return _complain(str(error), _USAGE)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        return _complain(error.format_message(), _USAGE)
    except (KeyboardInterrupt, click.Abort):
        return _complain("interrupted", _INTERRUPTED)
    except BrokenPipeError:
        # The reader has gone, as head does. Nothing is left to flush into the closed pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _CRASH
    except Exception as error:
        if os.environ.get(_DEBUG):
            raise
        from dynocheck.runner import crash

        return _complain(f"{crash(error)}: a fault of ours; {_DEBUG}=1 shows where", _CRASH)
    return code or 0


def _complain(message: str, code: int) -> int:
    from dynocheck.reports.wording import visible

    click.echo(f"error: {visible(' '.join(message.split()))}", err=True)
    return code
