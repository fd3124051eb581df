"""What a rendered report must satisfy, by readers that are not ours."""

import json
from importlib import resources
from pathlib import Path
from typing import Any

import html5lib
import jsonschema
from lxml import etree

_PAGES = html5lib.HTMLParser(tree=html5lib.getTreeBuilder("lxml"), strict=True, namespaceHTMLElements=False)

_XSD = etree.XMLSchema(etree.parse(Path(__file__).with_name("junit.xsd")))


_SARIF = jsonschema.Draft202012Validator(
    json.loads(Path(__file__).with_name("sarif.schema.json").read_text()),
    format_checker=jsonschema.FormatChecker(),
)


def validator(name: str) -> jsonschema.Draft202012Validator:
    schema = json.loads((resources.files("dynocheck.data") / name).read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


_REPORT = validator("report.schema.json")


def valid_report(text: str) -> Any:
    """The parsed report, which the published schema allows."""
    parsed = json.loads(text)
    _REPORT.validate(parsed)
    return parsed


def valid_junit(text: str, *, places: bool = False) -> "etree._Element":
    """The root of the document, which the XSD allows, but for the places of cases if there may be any."""
    root = etree.fromstring(text.encode())
    strict = etree.fromstring(text.encode())
    for case in strict.iter("testcase") if places else ():
        assert int(case.attrib.pop("line", "1")) > 0
        case.attrib.pop("file", "")
    _XSD.assertValid(strict)
    return root


def valid_sarif(text: str) -> Any:
    """The parsed log, which the SARIF standard and GitHub allow."""
    log = json.loads(text)
    _SARIF.validate(log)
    for run in log["runs"]:
        rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
        assert len(set(rules)) == len(rules)
        for result in run["results"]:
            assert rules[result["ruleIndex"]] == result["ruleId"]
    return log


def valid_page(text: str) -> "etree._Element":
    """The root of the page, in which the HTML standard's own parser finds no fault."""
    root: etree._Element = _PAGES.parse(text).getroot()
    return root
