"""The configuration file of a site: `dynocheck.toml`, or `[tool.dynocheck]` of a `pyproject.toml`."""

from pathlib import Path
from typing import Any, Literal

import msgspec

from dynocheck.core.errors import UsageError
from dynocheck.facts import Settings

_OWN = "dynocheck.toml"
_SHARED = "pyproject.toml"


class SiteConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """The content of the file.

    `select` and `skip` are ids or globs. `levels` gives, by id or glob, the outcome of a check's findings.
    `thresholds` are settings that checks read. `checks_dirs` are directories with custom checks, relative to
    the file. `limits` are service-level objectives. `junit_unknown` is how JUnit shows what could not be
    checked.
    """

    select: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    levels: dict[str, Literal["warn", "fail"]] = {}
    thresholds: Settings = Settings()
    checks_dirs: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    junit_unknown: Literal["error", "skipped"] = "error"


def find_config(file: str | None = None) -> Path | None:
    """The configuration file of this run, if there is one.

    :param file: the value of --config; without it the current directory is searched.
    """
    if file is not None:
        return Path(file)
    return next((path for path in (Path(_OWN), Path(_SHARED)) if path.exists()), None)


def read_config(path: Path) -> SiteConfig:
    """Read a configuration file.

    :raises UsageError: it cannot be read, is not TOML, or has an unknown field or value.
    """
    import tomllib

    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from None
    if path.name == _SHARED:
        tools = content.get("tool")
        content = tools.get("dynocheck", {}) if isinstance(tools, dict) else {}
    try:
        config = msgspec.convert(content, SiteConfig)
    except msgspec.ValidationError as error:
        raise UsageError(f"{path}: {error}") from None
    folders = tuple(str(path.parent / folder) for folder in config.checks_dirs)
    return msgspec.structs.replace(config, checks_dirs=folders)
