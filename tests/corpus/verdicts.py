"""What dynocheck says of public manifests, with the reason why each of it is true.

verdicts.yaml is of upstream's recipes and examples, plain.yaml of engines without Dynamo: samples that have
nothing to do with each other, each of which is judged by itself as well, and a guide.

A row is one cause. A failure is listed by its places; warnings of a kind are counted, and `says` is what the
messages of that kind hold. `known` marks the 38 failures that were true when dynocheck first judged
upstream's recipes and told 156; a comment says that the claim of two of them must be there, so that they are
warnings now.
`beside` names the checks that tell another cause of the same line. With DYNOCHECK_RENEW the reasons stay, and
what is new gets a row that says TODO.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.fuzz.judging import judge_path

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
TODO = "TODO"


class Table(NamedTuple):
    """A file of reasons, the folders of the corpus that it is of, and those whose files stand alone too."""

    file: Path
    folders: tuple[str, ...]
    alone: tuple[str, ...] = ()


UPSTREAM = Table(Path(__file__).with_name("verdicts.yaml"), ("recipes", "examples"))
PLAIN = Table(Path(__file__).with_name("plain.yaml"), ("plain", "serving-guide"), alone=("plain",))


class Told(NamedTuple):
    """A finding that no other explains."""

    check: str
    outcome: str
    place: str  # file:line, from the corpus on; only the file where the finding has no line
    message: str


class Row(NamedTuple):
    check: str
    outcome: str
    says: str
    reason: str
    places: tuple[str, ...]  # of failures, and of warnings where not all of their kind belong here
    times: int
    known: bool = False
    beside: tuple[str, ...] = ()

    def covers(self, told: Told) -> bool:
        """Whether a finding belongs here."""
        alike = (self.check, self.outcome) == told[:2] and self.says in told.message
        return alike and (not (self.places or self.outcome == "fail") or told.place in self.places)


def judge_corpus(table: Table, folder: Path) -> list[Told]:
    """Everything that is told of the manifests of a table; of a file that stands alone, what is new.

    :param folder: where the reports are written.
    """
    told = [each for name in table.folders for each in _judge(CORPUS / name, folder)]
    known = {each[:3] for each in told}
    files = [path for name in table.alone for path in sorted((CORPUS / name).rglob("*")) if path.is_file()]
    return told + [each for path in files for each in _judge(path, folder) if each[:3] not in known]


def _judge(path: Path, folder: Path) -> Iterator[Told]:
    ended = judge_path(path, folder, select="", limit_s=120)
    assert not ended.crashes, ended.crashes
    assert ended.report is not None
    for verdict in ended.report["verdicts"]:
        for finding in verdict["findings"]:
            if finding["explained_by"] is None:
                place = _find_place(finding["location"])
                yield Told(verdict["check"], finding["outcome"], place, finding["message"])


def _find_place(location: dict[str, Any] | None) -> str:
    if location is None:
        return ""
    file = Path(location["file"]).resolve().relative_to(CORPUS.resolve())
    return f"{file}:{location['line']}" if location["line"] else str(file)


def read_table(table: Table) -> list[Row]:
    rows = yaml.safe_load(table.file.read_text()) if table.file.exists() else []
    return [
        Row(
            row["check"],
            row["outcome"],
            row.get("says", ""),
            row["reason"],
            tuple(_expand(row.get("places", {}))),
            row.get("count", 0),
            row.get("known", False),
            tuple(row.get("beside", ())),
        )
        for row in rows
    ]


def _expand(places: dict[str, list[int]]) -> Iterator[str]:
    for file, lines in places.items():
        yield from (f"{file}:{line}" for line in lines) if lines else [file]


def renew(rows: Sequence[Row], told: Iterable[Told]) -> list[Row]:
    """The rows as they are true of what is told now; what no row covers has a row to be reasoned."""
    told = list(told)
    kept: list[Row] = []
    for row in rows:
        covered = [each for each in told if row.covers(each)]
        told = [each for each in told if each not in covered]
        if covered:
            kept.append(_count(row, covered))
    for check, outcome in sorted({each[:2] for each in told}):
        left = [each for each in told if each[:2] == (check, outcome)]
        message = left[0].message.strip()
        says = "" if outcome == "fail" else message
        kept.append(_count(Row(check, outcome, says, f"{TODO}: {message}", (), 0), left))
    return sorted(kept, key=lambda row: (row.outcome, row.check, row.says, row.reason))


def _count(row: Row, told: Iterable[Told]) -> Row:
    places = sorted((each.place for each in told), key=_sort_by_line)
    keeps = row.outcome == "fail" or row.places
    return row._replace(places=tuple(places) if keeps else (), times=len(places))


def _sort_by_line(place: str) -> tuple[str, int]:
    file, _, line = place.partition(":")
    return file, int(line or 0)


def write_table(table: Table, rows: Iterable[Row]) -> None:
    text = "\n".join("".join(_write_row(row)) for row in rows)
    whose = "upstream's manifests" if table is UPSTREAM else "manifests of engines without Dynamo"
    table.file.write_text(f"# Why what is said of {whose} is true: see verdicts.py.\n{text}")


def _write_row(row: Row) -> Iterator[str]:
    yield f"- check: {row.check}\n  outcome: {row.outcome}\n"
    if row.says:
        yield f"  says: {_quote(row.says)}\n"
    yield f"  reason: {_quote(row.reason)}\n  count: {row.times}\n"
    if row.known:
        yield "  known: true\n"
    if row.beside:
        yield f"  beside: [{', '.join(row.beside)}]\n"
    if row.places:
        yield "  places:\n"
    lines: dict[str, list[int]] = {}
    for place in row.places:
        file, _, line = place.partition(":")
        lines.setdefault(file, []).extend([int(line)] if line else [])
    for file, found in lines.items():
        yield f"    {file}: {found}\n"


def _quote(text: str) -> str:
    return yaml.safe_dump(text, width=1000, default_style='"', allow_unicode=True).strip()


def find_told_twice(rows: Sequence[Row], told: Iterable[Told]) -> list[str]:
    """The places of which more is told than one cause, and no row says that it stands beside the other."""
    by_place = defaultdict(list)
    for each in told:
        by_place[each.place].append(each)
    apart = {(row.check, other) for row in rows for other in row.beside}
    return sorted(
        {
            one.place
            for found in by_place.values()
            for one, other in combinations(found, 2)
            if not apart & {(one.check, other.check), (other.check, one.check)}
        }
    )
