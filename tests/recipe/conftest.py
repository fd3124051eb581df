"""Fixtures for tests of recipes: kubectl as a YAML reader, and recipes from text."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dynocheck.facts import Recipe
from dynocheck.recipe.discover import load_recipes
from tests.controlplane import build
from tests.controlplane.plugin import missing

Kubectl = Callable[[str | bytes], "list[Any] | str"]
Written = Callable[..., Recipe]


@pytest.fixture(scope="session")
def kubectl() -> Kubectl:
    """A function that returns the objects that kubectl reads from a text, or its error, without a server."""
    try:
        binary = build.assets("kubectl") / "kubectl"
    except build.AssetsUnavailable as error:
        missing(f"kubectl: {error}")

    def read(text: str | bytes) -> list[Any] | str:
        done = subprocess.run(
            [binary, "label", "--local", "-f", "-", "-o", "json", "read=yes"],
            input=text if isinstance(text, bytes) else text.encode(),
            env={"KUBECONFIG": os.devnull, "HOME": "/nowhere"},
            capture_output=True,
            check=False,
        )
        if done.returncode:
            return done.stderr.decode()
        decoder, rest, found = json.JSONDecoder(), done.stdout.decode().strip(), []
        while rest:
            value, end = decoder.raw_decode(rest)
            found.append(value)
            rest = rest[end:].strip()
        return found

    return read


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Written:
    """A function that loads a recipe from one text for deploy.yaml, or from texts by path."""
    monkeypatch.chdir(tmp_path)

    def write(text: str = "", /, **files: str) -> Recipe:
        for name, content in {"deploy.yaml": text, **files}.items() if text else files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        (recipe,) = load_recipes(["."])
        return recipe

    return write
