"""A CustomResourceDefinition with two served versions."""

from pathlib import Path

WIDGET = Path(__file__).with_name("widgets.yaml").read_text()


def widget(spec: str, version: str = "v2") -> str:
    return f"apiVersion: house.example/{version}\nkind: Widget\nmetadata: {{name: a}}\nspec: {{{spec}}}\n"
