"""The prompts of a load test: generated from a seed, or read from a file."""

import random
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from dynocheck.core.errors import UsageError
from dynocheck.core.files import read_bounded

# Short and frequent words, most of which are one token in any tokenizer trained on English.
_WORDS = """the of and to in is that for it as was with be by on not he his but at are this have from or had
an they which one you were her all she there would their we him been has when who will more no if out
so said what up its about into than them can only other new some could time these two may then do
first any my now such like our over man me even most made after also did many before must through
back years where much your way well down should because each just those people how too little state
good very make world still own see men work long get here between both life being under never day
same another know while last might us great old year off come since against go came right used take
three""".split()  # noqa: SIM905  (easier to read as lines of words)

_HEAD = 16  # words, different in each prompt
_BLOCK = 512  # tokens of a hash in a mooncake trace
_LONGEST = 1 << 22  # tokens of one request
_MOST = 1 << 28  # bytes of a file of prompts


class Prompt(msgspec.Struct, frozen=True):
    """The content of one request, text or messages; `due_s` is its time in a trace."""

    content: str | list[dict[str, Any]]
    max_tokens: int | None = None
    due_s: float | None = None


Prompts = Callable[[int, float], Prompt]
"""Returns the prompt with this number, for this number of tokens per word."""


def generate_prompts(seed: int, tokens: int) -> Prompts:
    """Prompts of about this many tokens. Each has its own beginning, so that no prefix is cached; the rest is
    the same in all prompts, so that generating them is fast.
    """

    def generate(number: int, per_word: float) -> Prompt:
        words = _count_words(tokens, per_word)
        head = _generate_text(f"{seed}:{number}", min(words, _HEAD))
        return Prompt(f"{head} {_generate_rest(seed, words - _HEAD)}".rstrip())

    return generate


def read(path: str, seed: int) -> tuple[Prompts, int, bool]:
    """The prompts of a file, their number, and whether it is a trace with the time of each.

    A text file has a prompt per line. JSON lines have a `prompt`, `text` or `messages`, and optionally
    `max_tokens`; or they are a mooncake trace with `timestamp` in milliseconds, `input_length`,
    `output_length` and `hash_ids`. The same hash stands for the same 512 tokens.

    :raises UsageError: the file cannot be read, or contains no prompt.
    """
    try:
        lines = [line for line in read_bounded(path, _MOST).decode().splitlines() if line.strip()]
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not text in UTF-8") from None
    if not lines:
        raise UsageError(f"{path}: contains no prompt")
    if not lines[0].lstrip().startswith("{"):
        return (lambda number, _: Prompt(lines[number % len(lines)])), len(lines), False
    rows = [_parse_row(path, number, line) for number, line in enumerate(lines, 1)]
    traced = _is_trace(rows[0])
    if any(_is_trace(row) is not traced for row in rows):
        raise UsageError(f"{path}: only some lines are of a trace")
    if traced:
        rows.sort(key=lambda row: float(row["timestamp"]))
    begin = float(rows[0]["timestamp"]) if traced else 0.0
    return (
        (lambda number, per_word: _make_prompt(rows[number % len(rows)], per_word, seed, begin)),
        len(rows),
        traced,
    )


def _parse_row(path: str, number: int, line: str) -> dict[str, Any]:
    try:
        row = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        raise UsageError(f"{path}, line {number}: not JSON") from None
    if isinstance(row, dict) and (_is_trace(row) or _is_prompt(row)):
        return row
    raise UsageError(
        f"{path}, line {number}: neither a prompt, text or messages, nor a timestamp, input_length, "
        "output_length and hash_ids"
    )


def _is_trace(row: Mapping[str, Any]) -> bool:
    hashes = row.get("hash_ids")
    return (
        isinstance(row.get("timestamp"), int | float)
        and all(
            isinstance(row.get(key), int) and 0 < row[key] < _LONGEST
            for key in ("input_length", "output_length")
        )
        and isinstance(hashes, list)
    )


def _is_prompt(row: Mapping[str, Any]) -> bool:
    most = row.get("max_tokens")
    return (most is None or (isinstance(most, int) and most > 0)) and (
        isinstance(row.get("prompt"), str)
        or isinstance(row.get("text"), str)
        or (isinstance(row.get("messages"), list) and all(isinstance(m, dict) for m in row["messages"]))
    )


def _make_prompt(row: Mapping[str, Any], per_word: float, seed: int, begin: float) -> Prompt:
    if not _is_trace(row):
        return Prompt(row.get("messages") or row.get("prompt") or row.get("text", ""), row.get("max_tokens"))
    return Prompt(
        " ".join(_generate_blocks(row["hash_ids"], row["input_length"], per_word, seed)),
        row["output_length"],
        (float(row["timestamp"]) - begin) / 1000,
    )


def _generate_blocks(hashes: list[Any], tokens: int, per_word: float, seed: int) -> Iterator[str]:
    left = tokens
    for number, block in enumerate(hashes):
        last = number == len(hashes) - 1
        size = left if last else min(_BLOCK, left)
        if size > 0:
            yield _generate_text(f"{seed}:{block}", _count_words(size, per_word))
        left -= size
    if not hashes:
        yield _generate_text(f"{seed}", _count_words(tokens, per_word))


def _count_words(tokens: int, per_word: float) -> int:
    return max(1, round(tokens / per_word))


@lru_cache(maxsize=4)
def _generate_rest(seed: int, words: int) -> str:
    return _generate_text(str(seed), max(words, 0))


def _generate_text(seed: str, words: int) -> str:
    generator = random.Random(seed)  # noqa: S311  (not for cryptography)
    return " ".join(generator.choices(_WORDS, k=words))
