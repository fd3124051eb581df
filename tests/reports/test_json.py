import copy
import datetime
import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from dynocheck.core.outcomes import Report
from dynocheck.reports import render_report
from tests.reports.samples import (
    CHARTS,
    FAIL,
    VARIANTS,
    every_outcome,
    lone,
    report,
    server_down,
    with_charts,
    with_table,
)
from tests.reports.schemas import valid_report, validator


@pytest.mark.parametrize("made", [every_outcome(), server_down(), report(), with_table(), with_charts()])
def test_a_report_validates_and_reads_back_the_same(made: Report) -> None:
    text = render_report(made, "json")
    valid_report(text)
    assert msgspec.json.decode(text, type=Report) == made


def test_it_is_laid_out_as_the_contract() -> None:
    text = render_report(every_outcome(), "json")
    parsed = json.loads(text)
    assert text == json.dumps(parsed, indent=2, ensure_ascii=False).replace("1.2e-05", "0.000012") + "\n"
    assert list(parsed) == [
        "schema",
        "tool",
        "command",
        "started",
        "duration_s",
        "target",
        "summary",
        "verdicts",
        "tables",
        "charts",
    ]
    assert list(parsed["summary"]) == ["pass", "warn", "fail", "unknown", "unjudged", "skip", "error"]
    fail = parsed["verdicts"][2]
    assert list(fail) == [
        "check",
        "title",
        "area",
        "outcome",
        "message",
        "duration_s",
        "findings",
        "suppressed",
        "judged",
        "of",
        "noun",
        "unjudged",
    ]
    found = fail["findings"][0]
    assert list(found) == ["outcome", "message", "fix", "evidence", "subject", "location", "explained_by"]
    assert found["subject"] == {
        "kind": "DynamoGraphDeployment",
        "namespace": "dynamo",
        "name": "llama-3-70b-disagg",
    }
    assert list(found["subject"]) == ["kind", "namespace", "name"]
    assert list(found["location"]) == ["file", "line", "column"]


def test_a_report_of_a_version_without_tables_and_charts_is_still_one() -> None:
    parsed = json.loads(render_report(every_outcome(), "json"))
    del parsed["tables"], parsed["charts"]
    valid_report(json.dumps(parsed))
    assert msgspec.json.decode(json.dumps(parsed), type=Report) == every_outcome()


def test_any_evidence_a_check_may_give_is_written() -> None:
    evidence = {
        "path": Path("deploy.yaml"),
        "when": datetime.date(2026, 3, 1),
        "names": {"one"},
        "sizes": (1, 2**70),
        8: True,
        "ratio": float("nan"),
    }
    made = report(lone(FAIL, "a.a", "m", evidence=evidence))
    assert valid_report(render_report(made, "json"))["verdicts"][0]["findings"][0]["evidence"] == {
        "path": "deploy.yaml",
        "when": "2026-03-01",
        "names": ["one"],
        "sizes": [1, 2**70],
        "8": True,
        "ratio": None,
    }


def _mutations() -> list[tuple[str, Any]]:
    def mutated(path: tuple[Any, ...], value: Any) -> Any:
        whole = report(*every_outcome().verdicts, tables=(VARIANTS,), charts=CHARTS)
        broken = copy.deepcopy(json.loads(render_report(whole, "json")))
        at = broken
        for step in path[:-1]:
            at = at[step]
        if value is ...:
            del at[path[-1]]
        else:
            at[path[-1]] = value
        return broken

    found = ("verdicts", 2, "findings", 0)
    changes: list[tuple[tuple[Any, ...], Any]] = [
        (("schema",), "dynocheck.report/v2"),
        (("extra",), 1),
        (("tool", "extra"), 1),
        (("target",), []),
        (("duration_s",), -1),
        (("duration_s",), "2 s"),
        (("summary", "pass"), ...),
        (("summary", "passed"), 1),
        (("summary", "fail"), 1.5),
        (("verdicts", 0, "outcome"), "ok"),
        (("verdicts", 0, "title"), ...),
        (("verdicts", 0, "more"), ""),
        ((*found, "fix"), ...),
        ((*found, "evidence"), None),
        ((*found, "more"), ""),
        ((*found, "subject", "kind"), None),
        ((*found, "subject", "uid"), "x"),
        ((*found, "location", "line"), 0),
        ((*found, "location", "path"), "x"),
        (("verdicts", 0, "suppressed"), [{"by": "comment", "reason": "r"}]),
        (("verdicts", 0, "suppressed"), [{"by": "me", "reason": "r", "finding": {}}]),
        (("tables", 0, "note"), ...),
        (("tables", 0, "more"), ""),
        (("tables", 0, "columns"), [1]),
        (("tables", 0, "rows", 0), "x"),
        (("tables", 0, "rows", 0, 0), {}),
        (("tables", 0, "rows", 0, 0), [[]]),
        (("charts", 0, "kind"), "pie"),
        (("charts", 0, "more"), ""),
        (("charts", 0, "panels", 0, "note"), ...),
        (("charts", 0, "panels", 0, "marks", 0, "at"), "2"),
        (("charts", 0, "panels", 0, "series", 0, "x"), [None]),
    ]
    return [(f"{'.'.join(map(str, path))}={value}", mutated(path, value)) for path, value in changes]


@pytest.mark.parametrize("broken", [pytest.param(broken, id=name) for name, broken in _mutations()])
def test_the_schema_refuses_what_is_not_the_contract(broken: Any) -> None:
    with pytest.raises(jsonschema.ValidationError):
        valid_report(json.dumps(broken))


def test_the_schema_of_the_catalogue() -> None:
    catalogue = validator("checks.schema.json")
    entry = {
        "id": "storage.default-class",
        "title": "Exactly one StorageClass is the default",
        "area": "storage",
    }
    assert catalogue.is_valid([entry])
    assert catalogue.is_valid([])
    for broken in ({"id": "storage"}, {"title": ""}, {"area": "Storage"}, {"docs": "x"}):
        assert not catalogue.is_valid([entry | broken])
    assert not catalogue.is_valid([entry, entry])
