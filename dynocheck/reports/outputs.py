"""The outputs of a run: formats, and the files that they go to."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

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


def _parse_output(text: str) -> Output:
    name, equals, path = text.partition("=")
    if name not in reports.FORMATS:
        raise UsageError(f"-o {text}: unknown format; use one of {', '.join(reports.FORMATS)}")
    if equals and not path:
        raise UsageError(f"-o {text}: no file after the =")
    if path and not Path(path).absolute().parent.is_dir():
        raise UsageError(f"-o {text}: no such directory: {Path(path).parent}")
    return Output(name, Path(path) if path else None)
