"""The content of a configuration file: `dynocheck.toml`, or `[tool.dynocheck]` of a `pyproject.toml`."""

import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from dynocheck.core.errors import UsageError
from dynocheck.core.files import MIB, read_bounded
from dynocheck.core.suggestions import suggest
from dynocheck.facts import Settings
from dynocheck.secrets import clip

OWN = "dynocheck.toml"
SHARED = "pyproject.toml"
_TOOL = "dynocheck"
_MAX_BYTES = MIB
_LONGEST = 60

_Patterns = Annotated[
    tuple[str, ...],
    msgspec.Meta(description='a list of check ids, areas or globs, such as ["gpu", "rdma.*"]'),
]
_Level = Annotated[Literal["warn", "fail"], msgspec.Meta(description='"warn" or "fail"')]


class SiteConfig(msgspec.Struct, frozen=True, rename="kebab"):
    """The content of a configuration file, or of several that were merged.

    `levels` gives, by id or glob, the outcome of a check's findings. `thresholds` are settings that checks
    read. `checks_dirs` are directories with custom checks. `limits` are service-level objectives.
    `junit_unknown` is how JUnit shows what could not be checked. `allow_silencing` names protected
    checks that the judged tree may silence. The description of a type is what messages
    say is expected.
    """

    select: _Patterns = ()
    skip: _Patterns = ()
    levels: Annotated[
        dict[str, _Level], msgspec.Meta(description='a table of "warn" or "fail" by check id or glob')
    ] = {}
    thresholds: Annotated[Settings, msgspec.Meta(description="a table of thresholds")] = Settings()
    checks_dirs: Annotated[
        tuple[str, ...], msgspec.Meta(description='a list of directories, such as ["ops/checks"]')
    ] = ()
    limits: Annotated[
        tuple[str, ...], msgspec.Meta(description='a list of limits, such as ["ttft.p95=500ms"]')
    ] = ()
    junit_unknown: Annotated[
        Literal["error", "skipped"], msgspec.Meta(description='"error" or "skipped"')
    ] = "error"
    allow_silencing: _Patterns = ()


def read_config(path: Path) -> dict[str, Any] | None:
    """The valid content of a configuration file; None of a `pyproject.toml` without `[tool.dynocheck]`.

    :raises UsageError: it cannot be read, is not TOML, or has unknown keys or wrong values, all of which the
        message names.
    """
    document = _read_toml(path)
    content = _get_tool_table(path, document) if path.name == SHARED else document
    if content is None:
        return None
    if problems := list(_list_problems(content, SiteConfig)):
        raise UsageError(f"{path}: {'; '.join(problems)}")
    return content


def _read_toml(path: Path) -> dict[str, Any]:
    import tomllib

    data = b""
    try:
        data = read_bounded(path, _MAX_BYTES)
        return tomllib.loads(data.decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        if path.name == SHARED and _TOOL.encode() not in data:
            return {}  # another tool's fault
        reason = "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error
        raise UsageError(f"{path}: not TOML: {reason}") from None


def _get_tool_table(path: Path, content: Mapping[str, Any]) -> dict[str, Any] | None:
    """The table `[tool.dynocheck]` of a pyproject.toml, if it has one.

    :raises UsageError: it is no table, or has another name, under which nobody would read it.
    """
    tools = content.get("tool")
    tools = tools if isinstance(tools, dict) else {}
    misnamed = [f"tool.{name}" for name in tools if name != _TOOL and _simplify(name) == _TOOL]
    misnamed += [name for name in content if _simplify(name) == _TOOL]
    if misnamed:
        raise UsageError(f"{path}: [{misnamed[0]}] is not read; did you mean [tool.{_TOOL}]?")
    table = tools.get(_TOOL)
    if table is not None and not isinstance(table, dict):
        raise UsageError(f"{path}: tool.{_TOOL}: expected a table; got {_shorten(table)}")
    return table


def _simplify(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def _list_problems(content: Mapping[str, Any], kind: type[msgspec.Struct], prefix: str = "") -> Iterator[str]:
    """The unknown keys and wrong values of a table."""
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    for key, value in content.items():
        if key in fields:
            yield from _check_value(f"{prefix}{key}", value, fields[key])
        elif not prefix and key in ("tool", _TOOL):
            yield f"unknown table [{key}]; keys of {OWN} stand at its top, without [tool.{_TOOL}]"
        else:
            name = clip(format_key(prefix, key), _LONGEST)
            yield f"unknown key {name}{suggest(key, fields)} (keys: {', '.join(fields)})"


def _check_value(name: str, value: Any, kind: Any) -> Iterator[str]:
    """What is wrong with a value, if anything is."""
    plain, expected = typing.get_args(kind)[0], typing.get_args(kind)[1].description
    is_table = isinstance(value, dict)
    if is_table and isinstance(plain, type) and issubclass(plain, msgspec.Struct):
        yield from _list_problems(value, plain, f"{name}.")
    elif is_table and typing.get_origin(plain) is dict:
        for key, item in value.items():
            yield from _check_value(format_key(f"{name}.", key), item, typing.get_args(plain)[1])
    else:
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError:
            yield f"{name}: expected {expected}; got {_shorten(value)}{_advise(name, value, plain)}"


def _advise(name: str, value: Any, plain: Any) -> str:
    """What the user probably meant by a wrong value."""
    if isinstance(value, dict) and name.startswith("levels."):
        return "; an id with a dot needs quotes"
    if isinstance(value, str) and typing.get_origin(plain) is Literal:
        if value in ("skip", "off", "ignore", "none", "disabled"):
            return "; to leave a check out, name it in skip"
        return suggest(value, typing.get_args(plain))
    if isinstance(value, str) and typing.get_origin(plain) is tuple:
        return f"; write [{_shorten(value)}]"
    if isinstance(value, float) and plain is str:
        return "; write it in quotes"
    return ""


def format_key(prefix: str, key: str) -> str:
    """A key as TOML writes it, in quotes where it needs them."""
    bare = key.isascii() and key.replace("-", "a").replace("_", "a").isalnum()
    return f"{prefix}{key if bare else msgspec.json.encode(key).decode()}"


def format_value(value: Any) -> str:
    """A value about as TOML writes it."""
    if isinstance(value, str | bool | list | tuple | dict):
        return msgspec.json.encode(value, enc_hook=str).decode()
    return str(value)


def _shorten(value: Any) -> str:
    return clip(format_value(value), _LONGEST)
