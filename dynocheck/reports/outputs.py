"""The outputs of a run: formats, and the files that they go to."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import click

from dynocheck import reports
from dynocheck.core.errors import UsageError
from dynocheck.core.outcomes import Report


class Output(NamedTuple):
    """A format, and its file; without one, standard output."""

    format: str
    path: Path | None


def parse_outputs(texts: Sequence[str]) -> list[Output]:
    """Parse the values of -o; without any, a table on standard output.

    :raises UsageError: a format is unknown, a folder is missing, or two formats share standard output.
    """
    outputs = [_parse_output(text) for text in texts or ("table",)]
    if sum(output.path is None for output in outputs) > 1:
        raise UsageError("two formats for standard output; write one to a file: -o FORMAT=FILE")
    return outputs


def write_reports(report: Report, outputs: Sequence[Output], options: reports.ReportOptions) -> None:
    """Write the report to every output; one that fails does not keep back the others.

    :raises UsageError: some failed.
    :raises BrokenPipeError: the reader of standard output closed it, and all others were written.
    """
    errors: list[str] = []
    broken: BrokenPipeError | None = None
    for output in outputs:
        try:
            reports.write(report, output.format, output.path, options)
        except BrokenPipeError as error:
            broken = error
        except OSError as error:
            errors.append(f"cannot write {output.path or 'to standard output'}: {error.strerror}")
    if broken and not errors:
        raise broken
    if errors:
        raise UsageError("; ".join(errors))


def report_error(message: str, arguments: Sequence[str], started: float) -> None:
    """Tell the readers of a run's reports that it was given up, so that none takes an older one for its own.

    JUnit files get the error, GitHub an annotation. Other reports that are older than the run are deleted,
    except those that it was to read.

    :param arguments: the command line.
    :param started: when the run began, in seconds since the epoch.
    """
    from dynocheck.reports import github, junit

    for text in _find_outputs(arguments):
        name, _, path = text.partition("=")
        if name == "github" and not path:
            with suppress(OSError):
                click.echo(github.render_error(message), nl=False)
        if name not in reports.FORMATS or not path or path in arguments or _is_written(Path(path), started):
            continue
        with suppress(OSError):
            if name == "junit":
                Path(path).write_text(junit.render_error(message), encoding="utf-8", newline="\n")
            else:
                Path(path).unlink(missing_ok=True)


def _find_outputs(arguments: Sequence[str]) -> Iterator[str]:
    """The values of -o in a command line that may be wrong."""
    for word, following in zip(arguments, (*arguments[1:], ""), strict=True):
        if word in ("-o", "--output"):
            yield following
        elif word.startswith(("-o", "--output=")):
            yield word.removeprefix("--output=").removeprefix("-o")


def _is_written(path: Path, started: float) -> bool:
    """Whether this run has written the file already, or it is no regular one."""
    try:
        return path.exists() and (not path.is_file() or path.stat().st_mtime >= started)
    except (OSError, ValueError):
        return True


def _parse_output(text: str) -> Output:
    name, equals, path = text.partition("=")
    if name not in reports.FORMATS:
        raise UsageError(f"-o {text}: unknown format; use one of {', '.join(reports.FORMATS)}")
    if equals and not path:
        raise UsageError(f"-o {text}: no file after the =")
    if path and not Path(path).absolute().parent.is_dir():
        raise UsageError(f"-o {text}: no such directory: {Path(path).parent}")
    return Output(name, Path(path) if path else None)
