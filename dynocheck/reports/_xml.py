"""Elements of a page, whose text and attributes are escaped by the library that writes them."""

from collections.abc import Iterable
from xml.etree.ElementTree import Element, tostring

from dynocheck.reports._text import sanitize

Content = Element | str | None


def make_element(name: str, /, *content: Content, **attributes: str | float | None) -> Element:
    """An element with this content, less what is None, and these attributes.

    An underscore at the end of an attribute's name is left out, any other one becomes a hyphen. Numbers are
    written in as many digits as a picture can show.
    """
    made = Element(name)
    for key, value in attributes.items():
        if value is not None:
            said = value if isinstance(value, str) else f"{value:.6g}"
            made.set(key.rstrip("_").replace("_", "-"), sanitize(said))
    fill(made, content)
    return made


def fill(element: Element, content: Iterable[Content]) -> None:
    """Put elements and text into an element, in this order."""
    for each in content:
        if isinstance(each, str):
            said = sanitize(each)
            if len(element):
                element[-1].tail = (element[-1].tail or "") + said
            else:
                element.text = (element.text or "") + said
        elif each is not None:
            element.append(each)


def to_html(element: Element) -> str:
    """The element as HTML."""
    return tostring(element, encoding="unicode", method="html")
