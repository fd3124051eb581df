"""What a site has decided once: `dynocheck.toml`, or `[tool.dynocheck]` of a `pyproject.toml`."""

from pathlib import Path
from typing import Any, Literal

import msgspec

from dynocheck.core.errors import UsageError
from dynocheck.facts import Settings

_OWN = "dynocheck.toml"
_SHARED = "pyproject.toml"


class SiteConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """A site's decisions.

    `select` and `skip` are ids or globs. `levels` says by id or glob what a check's findings count as,
    `thresholds` moves the settings that checks read, `checks_dirs` are folders of checks of its own, from
    where the file lies. `limits` are what a load test is held to. `junit_unknown` shows what could not be
    looked at as an error or as skipped.
    """

    select: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    levels: dict[str, Literal["warn", "fail"]] = {}
    thresholds: Settings = Settings()
    checks_dirs: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    junit_unknown: Literal["error", "skipped"] = "error"


def find(given: str | None = None) -> Path | None:
    """Where the configuration of this run is, if there is one.

    :param given: a file that the user named; else it is that of the current folder.
    """
    if given is not None:
        return Path(given)
    return next((path for path in (Path(_OWN), Path(_SHARED)) if path.exists()), None)


def read(path: Path) -> SiteConfig:
    """What a file says.

    :raises UsageError: it cannot be read, is not TOML, or holds what means nothing here.
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
        found = msgspec.convert(content, SiteConfig)
    except msgspec.ValidationError as error:
        raise UsageError(f"{path}: {error}") from None
    folders = tuple(str(path.parent / folder) for folder in found.checks_dirs)
    return msgspec.structs.replace(found, checks_dirs=folders)
