"""Where the reports of a run go."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from dynocheck import reports
from dynocheck.commands._settings import CommonOptions, RunSettings
from dynocheck.core.errors import UsageError
from dynocheck.core.outcomes import Report


class Sink(NamedTuple):
    format: str
    path: Path | None

    def write(self, report: Report, options: reports.ReportOptions) -> str | None:
        """Write; say what went wrong, so that one full disk does not keep the other reports back."""
        try:
            reports.write(report, self.format, self.path, options)
        except BrokenPipeError:
            raise
        except OSError as error:
            return f"cannot write {self.path or 'to standard output'}: {error.strerror}"
        return None


def parse_outputs(choices: CommonOptions) -> list[Sink]:
    """Where the reports go.

    :raises UsageError: they cannot go there.
    """
    made = [_parse_output(output) for output in choices.outputs or ("table",)]
    if sum(sink.path is None for sink in made) > 1:
        raise UsageError("two formats for one standard output; give one a file: -o FORMAT=FILE")
    return made


def write_reports(
    report: Report, outputs: Sequence[Sink], setting: RunSettings, choices: CommonOptions
) -> None:
    """Write the report to each of them.

    :raises UsageError: one could not be written; the others are.
    """
    shown = reports.ReportOptions(strict=choices.strict, junit_unknown=setting.configuration.junit_unknown)
    failed = [error for sink in outputs if (error := sink.write(report, shown)) is not None]
    if failed:
        raise UsageError("; ".join(failed))


def _parse_output(output: str) -> Sink:
    name, equals, path = output.partition("=")
    if name not in reports.FORMATS:
        raise UsageError(f"-o {output}: no such format; there are {', '.join(reports.FORMATS)}")
    if equals and not path:
        raise UsageError(f"-o {output}: no file after the =")
    if path and not Path(path).absolute().parent.is_dir():
        raise UsageError(f"-o {output}: no folder {Path(path).parent}")
    return Sink(name, Path(path) if path else None)
