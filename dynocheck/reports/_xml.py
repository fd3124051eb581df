"""Builds HTML and SVG elements; ElementTree escapes their text and attributes."""

from collections.abc import Iterable
from xml.etree.ElementTree import Element, tostring

from dynocheck.reports._text import sanitize

Content = Element | str | None


def make_element(name: str, /, *content: Content, **attributes: str | float | None) -> Element:
    """An element with content and attributes; those that are None are left out.

    In an attribute's name a trailing underscore is dropped and others become hyphens. Numbers have six
    significant digits.
    """
    made = Element(name)
    for key, value in attributes.items():
        if value is not None:
            text = value if isinstance(value, str) else f"{value:.6g}"
            made.set(key.rstrip("_").replace("_", "-"), sanitize(text))
    fill(made, content)
    return made


def fill(element: Element, content: Iterable[Content]) -> None:
    """Append elements and text to an element."""
    for each in content:
        if isinstance(each, str):
            text = sanitize(each)
            if len(element):
                element[-1].tail = (element[-1].tail or "") + text
            else:
                element.text = (element.text or "") + text
        elif each is not None:
            element.append(each)


def to_html(element: Element) -> str:
    """The element as HTML."""
    return tostring(element, encoding="unicode", method="html")
