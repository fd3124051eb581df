"""What the documents say is so."""

import re

from dynocheck.core.registry import load
from tests.command import ROOT
from tools import write_docs


def test_the_page_of_checks_is_fresh() -> None:
    assert (ROOT / "docs" / "checks.md").read_text() == write_docs.render_checks(), "make renew"


def test_the_table_of_the_readme_is_real() -> None:
    (shown,) = write_docs.TABLE.findall(write_docs.README.read_text())

    def timeless(text: str) -> str:
        return re.sub(r"; \d+\.\ds", "; a moment", text)

    assert timeless(shown) == timeless(write_docs.render_table()), "make renew"


def test_every_check_has_its_page() -> None:
    for check in load().checks:
        why, _, fix = check.documentation.partition("\nFix: ")
        assert why.strip(), check.id
        assert fix.strip(), check.id


def test_the_configuration_page_names_every_key() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    keys = ("select", "skip", "levels", "thresholds", "checks-dirs", "limits", "junit-unknown")
    for key in (*keys, "kubernetes-version"):
        assert f"`{key}`" in page
