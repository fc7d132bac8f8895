"""Strict XML for signed manifests, and the canonical form over which they are signed.

The parser is expat, of Python's own library. What a manifest does not need is refused as it is read: document
types, entities of its own, processing instructions, comments, CDATA, encodings other than UTF-8, attributes
of the ``xml:`` namespace. What is left has one canonical form, the same under Canonical XML 1.0 and 1.1
(W3C, sections 2.3 and 2.4): the two differ in ``xml:`` attributes only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NoReturn
from xml.parsers import expat

from assay.errors import ReferenceValueError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_DOCUMENT_BYTES: Final = 1 << 20
MAX_ELEMENTS: Final = 4096
MAX_DEPTH: Final = 16
MAX_ATTRIBUTES: Final = 64
_XML: Final = "http://www.w3.org/XML/1998/namespace"


class XmlError(ReferenceValueError):
    """The document is not the strict XML that is read here; code ``rim.xml``."""

    def __init__(self, message: str) -> None:
        super().__init__("rim.xml", message)

    def __reduce__(self) -> tuple[type[XmlError], tuple[str]]:
        return (XmlError, (self.message,))


@dataclass(slots=True)
class Element:
    """One element.

    Attributes:
        tag: Its name as it is written, prefix included.
        name: Namespace and local name.
        scope: Prefix -> namespace, everything that is in scope; the empty prefix is the default.
        attributes: Namespace and local name -> name as it is written, and value; declarations are none.
        children: Elements and text between them, in order.
    """

    tag: str
    name: tuple[str, str]
    scope: Mapping[str, str]
    attributes: Mapping[tuple[str, str], tuple[str, str]]
    children: list[Element | str] = field(default_factory=list)

    def elements(self) -> list[Element]:
        """Return the elements directly below."""
        return [child for child in self.children if isinstance(child, Element)]

    def text(self) -> str:
        """Return the text directly below.

        Raises:
            XmlError: There is an element among it.
        """
        if not all(isinstance(child, str) for child in self.children):
            raise XmlError(f"The element {self.name[1]} holds more than text.")
        return "".join(str(child) for child in self.children)

    def get(self, local: str, namespace: str = "") -> str | None:
        """Return the value of an attribute."""
        found = self.attributes.get((namespace, local))
        return None if found is None else found[1]


def _split(tag: str) -> tuple[str, str]:
    prefix, colon, local = tag.partition(":")
    if not colon:
        return "", tag
    if not prefix or not local or ":" in local:
        raise XmlError("A name has an empty prefix or several.")
    return prefix, local


class _Builder:
    """Builds the tree from expat's events, and refuses what is not needed."""

    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._count = 0
        parser = expat.ParserCreate("UTF-8")
        parser.ordered_attributes = True
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.XmlDeclHandler = self._declaration
        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse
        parser.ProcessingInstructionHandler = self._refuse
        parser.CommentHandler = self._refuse
        parser.StartCdataSectionHandler = self._refuse
        parser.ExternalEntityRefHandler = self._refuse
        self.parser = parser

    def _refuse(self, *_: object) -> NoReturn:
        raise XmlError(
            "A document type, entity, comment, CDATA section or processing instruction has no place here."
        )

    def _declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        del standalone
        if version != "1.0" or (encoding or "UTF-8").upper() != "UTF-8":
            raise XmlError("The document is not XML 1.0 in UTF-8.")

    def _start(self, tag: str, attributes: list[str]) -> None:
        self._count += 1
        pairs = list(zip(attributes[::2], attributes[1::2], strict=True))
        if self._count > MAX_ELEMENTS or len(self._open) >= MAX_DEPTH or len(pairs) > MAX_ATTRIBUTES:
            raise XmlError("The document has too many elements, too deep, or too many attributes.")
        scope = dict(self._open[-1].scope) if self._open else {"": ""}
        for name, value in pairs:
            if name == "xmlns" or name.startswith("xmlns:"):
                self._declare(scope, name[6:], value)
        found: dict[tuple[str, str], tuple[str, str]] = {}
        for name, value in pairs:
            if name == "xmlns" or name.startswith("xmlns:"):
                continue
            prefix, local = _split(name)
            key = (self._resolve(scope, prefix) if prefix else "", local)
            if key in found:
                raise XmlError("An element has the same attribute twice.")
            found[key] = (name, value)
        prefix, local = _split(tag)
        element = Element(tag, (self._resolve(scope, prefix), local), scope, found)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def _declare(self, scope: dict[str, str], prefix: str, value: str) -> None:
        if prefix in ("xml", "xmlns") or value == _XML or (prefix and not value):
            raise XmlError("A namespace is declared that cannot be.")
        scope[prefix] = value

    def _resolve(self, scope: Mapping[str, str], prefix: str) -> str:
        found = scope.get(prefix)
        if found is None:
            raise XmlError("A prefix is not declared, or is xml.")
        return found

    def _end(self, tag: str) -> None:
        del tag
        self._open.pop()

    def _characters(self, text: str) -> None:
        self._open[-1].children.append(text)


def parse(data: bytes) -> Element:
    """Return the root element of a document.

    Args:
        data: UTF-8 without a byte order mark, at most 1 MiB.

    Raises:
        XmlError: It is no strict XML, or needs something that is refused.
    """
    if len(data) > MAX_DOCUMENT_BYTES:
        raise XmlError(f"The document is longer than {MAX_DOCUMENT_BYTES} bytes.")
    if data.startswith(b"\xef\xbb\xbf") or b"\0" in data:
        raise XmlError("The document is not plain UTF-8.")
    builder = _Builder()
    try:
        data.decode("utf-8")
        builder.parser.Parse(data, True)  # noqa: FBT003 - expat takes it by position only
    except UnicodeDecodeError:
        raise XmlError("The document is not UTF-8.") from None
    except expat.ExpatError as error:
        raise XmlError(f"The document is not well-formed: {expat.ErrorString(error.code)}.") from None
    assert builder.root is not None  # a document without an element is not well-formed
    return builder.root


def canonical(root: Element, *, without: Element | None = None) -> bytes:
    """Return the canonical form (inclusive, without comments) of an element and everything below it.

    Args:
        root: The element; namespaces that it has in scope from above it are written on it.
        without: An element below it that is left out, as the enveloped signature is.
    """
    return "".join(_write(root, {"": ""}, without)).encode("utf-8")


def _write(element: Element, written: Mapping[str, str], without: Element | None) -> Iterator[str]:
    yield f"<{element.tag}"
    for prefix in sorted(element.scope):
        value = element.scope[prefix]
        if written.get(prefix) != value:
            yield f' xmlns{":" + prefix if prefix else ""}="{_attribute(value)}"'
    for key in sorted(element.attributes):
        name, value = element.attributes[key]
        yield f' {name}="{_attribute(value)}"'
    yield ">"
    for child in element.children:
        if isinstance(child, str):
            yield _text(child)
        elif child is not without:
            yield from _write(child, element.scope, without)
    yield f"</{element.tag}>"


def _text(value: str) -> str:
    value = value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return value.replace("\r", "&#xD;")


def _attribute(value: str) -> str:
    value = value.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return value.replace("\t", "&#x9;").replace("\n", "&#xA;").replace("\r", "&#xD;")
