"""Scanmend's own properties in an XMP packet, put in without touching anything else.

The packet is not parsed and written anew, which would rename prefixes and drop comments:
a parser only finds the places, and text is cut and put there. XMP Specification Part 1
(ISO 16684-1), sections 7.3 (packet wrapper) and 7.4 (RDF); IPTC Photo Metadata 2023.1 for
the digital source type.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from scanmend.errors import FormatError

NAMESPACE: Final = "urn:scanmend:xmp:1#"
SOURCE_TYPE: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicallyEnhanced"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"

_MOST_BYTES = 8 * 2**20
_DEEPEST = 256  # a packet of exiftool or Adobe nests some ten levels
_MOST_ELEMENTS = 200_000
_SEPARATOR = "\x01"  # stands in no XML, so a namespace cannot forge it
_ATTRIBUTE = re.compile(rb"\s+([^\s=]+)\s*=\s*(\"[^\"]*\"|'[^']*')")
_TAG = re.compile(rb"<(?:[^>\"']|\"[^\"]*\"|'[^']*')*>")
_TAG_NAME = re.compile(rb"<([^\s/>]+)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_DECLARATION = re.compile(r"<!(DOCTYPE|ENTITY)", re.IGNORECASE)
_NOT_XML = re.compile("[^\t\n\r\\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NEW = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
    f' <rdf:RDF xmlns:rdf="{_RDF}">\n'
    " </rdf:RDF>\n"
    "</x:xmpmeta>\n" + (" " * 99 + "\n") * 20 + '<?xpacket end="w"?>'
)


def merge(packet: bytes | None, properties: Mapping[str, str]) -> bytes:
    """Adds Scanmend's properties to a packet, in place of those it had.

    The IPTC digital source type is added unless the packet has one. Everything else,
    wrapper and padding included, stays as it is, byte for byte.

    Args:
        packet: UTF-8 or UTF-16, with or without wrapper; None starts a new one.
        properties: names (letters, digits, "_", "-", ".") and texts.

    Raises:
        FormatError: the packet is not well-formed, not XMP, too large, or declares a
            document type or entities; or a name is not allowed.
    """
    for name in properties:
        if not _NAME.fullmatch(name):
            raise FormatError(f"XMP: {name!r} cannot be the name of a property")
    text, encoding, tail = _decoded(packet) if packet else (_NEW, "utf-8", b"")
    data = text.encode("utf-8")
    places = _find(data)
    fragment = _description(places.about, properties)
    if not places.has_source_type:
        source_type = f"<Iptc4xmpExt:DigitalSourceType>{SOURCE_TYPE}</Iptc4xmpExt:DigitalSourceType>"
        fragment = _wrapped(places.about, "Iptc4xmpExt", _IPTC, [source_type]) + fragment
    edits = [(start, end, b"") for start, end in places.ours] + [_insertion(data, places, fragment)]
    pieces, done = [], 0
    for start, end, new in sorted(edits):
        pieces += [data[done:start], new]
        done = end
    merged = b"".join([*pieces, data[done:]])
    return merged.decode("utf-8").encode(encoding) + tail


def read(packet: bytes | None) -> dict[str, str]:
    """Scanmend's properties in a packet, by name; empty where there are none.

    Raises:
        FormatError: as `merge` does.
    """
    return dict(_find(_decoded(packet)[0].encode("utf-8")).values) if packet else {}


def _decoded(packet: bytes) -> tuple[str, str, bytes]:
    """The text, the encoding that gives it back, and zeros that follow it in some files."""
    if len(packet) > _MOST_BYTES:
        raise _refusal(f"it has {len(packet)} bytes, more than {_MOST_BYTES}")
    encoding = "utf-8"
    if packet.startswith(codecs.BOM_UTF16_LE) or packet[1:2] == b"\0":
        encoding = "utf-16-le"
    elif packet.startswith(codecs.BOM_UTF16_BE) or packet[:1] == b"\0":
        encoding = "utf-16-be"
    try:
        text = packet.decode(encoding)
    except UnicodeDecodeError as error:
        raise _refusal("its text is neither UTF-8 nor UTF-16") from error
    if _DECLARATION.search(text):
        raise _refusal("it declares a document type or entities, which XMP may not")
    body = text.rstrip("\0")
    return body, encoding, text[len(body) :].encode(encoding)


def _refusal(why: str) -> FormatError:
    return FormatError(f"the XMP packet was kept as it is and nothing was added to it: {why}")


def _insertion(data: bytes, places: _Places, fragment: str) -> tuple[int, int, bytes]:
    """Just behind the last description; inside an RDF element that was closed at once."""
    if places.rdf_end < 0:
        raise _refusal("it holds no rdf:RDF")
    if not places.rdf_closed_at_once:
        start = _without_space(data, places.rdf_end)
        return start, start, fragment.encode("utf-8")
    name = _TAG_NAME.match(data, places.rdf_start)
    end_tag = b"\n</" + (name[1] if name else b"rdf:RDF") + b">"
    return places.rdf_end - 2, places.rdf_end, b">" + fragment.encode("utf-8") + end_tag


def _description(about: str, properties: Mapping[str, str]) -> str:
    lines = []
    for name, value in properties.items():
        text = escape(_NOT_XML.sub("\ufffd", value), {"\r": "&#13;"})
        lines.append(f"<scanmend:{name}>{text}</scanmend:{name}>")
    return _wrapped(about, "scanmend", NAMESPACE, lines) if lines else ""


def _wrapped(about: str, prefix: str, namespace: str, lines: list[str]) -> str:
    subject = quoteattr(about, {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})
    head = f'\n  <rdf:Description rdf:about={subject} xmlns:rdf="{_RDF}" xmlns:{prefix}="{namespace}">'
    return head + "".join(f"\n   {line}" for line in lines) + "\n  </rdf:Description>"


@dataclass
class _Description:
    """A top-level rdf:Description while its end has not been met."""

    start: int
    foreign: bool = False
    ours: list[tuple[int, int]] = field(default_factory=list)


class _Places:
    """Where things stand in a packet, in bytes of its UTF-8 form; filled by the parser.

    Attributes:
        rdf_start, rdf_end: of the first rdf:RDF element; its end is that of its content,
            or of the whole tag where it was closed at once; -1 where there is none.
        about: the subject that all descriptions share.
        ours: ranges to cut out before new properties come in.
        values: our properties as they are.
        has_source_type: whether the packet says a digital source type.
    """

    def __init__(self, data: bytes, parser: expat.XMLParserType) -> None:
        self.rdf_start = self.rdf_end = -1
        self.rdf_closed_at_once = False
        self.about = ""
        self.ours: list[tuple[int, int]] = []
        self.values: dict[str, str] = {}
        self.has_source_type = False
        self._data, self._parser = data, parser
        self._starts: list[tuple[str, int, int]] = []  # name, start, end of the start tag
        self._count = 0
        self._rdf_depth = 0
        self._open: _Description | None = None
        self._text: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        begin = self._parser.CurrentByteIndex
        self._count += 1
        if len(self._starts) >= _DEEPEST or self._count > _MOST_ELEMENTS:
            raise _refusal(f"it has more than {_MOST_ELEMENTS} elements, or more than {_DEEPEST} levels")
        self._starts.append((name, begin, _tag_end(self._data, begin)))
        level = len(self._starts) - self._rdf_depth if self._rdf_depth else -1
        if not self._rdf_depth and self.rdf_end < 0 and _is(name, _RDF, "RDF"):
            self._rdf_depth, self.rdf_start = len(self._starts), begin
        elif level == 1 and _is(name, _RDF, "Description"):
            self._begin_description(attributes)
        elif level == 2:
            self._text = []
        self._note_source_type([name, *attributes])

    def text(self, piece: str) -> None:
        if self._open:
            self._text.append(piece)

    def end(self, _name: str) -> None:
        name, begin, start_tag_end = self._starts.pop()
        closed_at_once = self._data[start_tag_end - 2 : start_tag_end] == b"/>"
        inner_end = start_tag_end if closed_at_once else self._parser.CurrentByteIndex
        outer_end = start_tag_end if closed_at_once else self._data.index(b">", inner_end) + 1
        depth = len(self._starts) + 1
        if depth == self._rdf_depth:
            self.rdf_end, self.rdf_closed_at_once, self._rdf_depth = inner_end, closed_at_once, 0
        elif self._open and depth == self._rdf_depth + 2:
            self._end_property(name, begin, outer_end)
        elif self._open and depth == self._rdf_depth + 1:
            whole = self._open.ours and not self._open.foreign
            self.ours += [self._stretched(self._open.start, outer_end)] if whole else self._open.ours
            self._open = None

    def _begin_description(self, attributes: dict[str, str]) -> None:
        _, begin, tag_end = self._starts[-1]
        self._open = _Description(begin)
        spans = self._attributes(begin, tag_end)
        for name, value in attributes.items():
            namespace, local, prefix = _parts(name)
            if local == "about" and namespace in (_RDF, ""):
                self.about = self.about or value
            elif namespace == NAMESPACE:
                self.values[local] = value
                self._open.ours.append(spans[f"{prefix}:{local}"])
            else:
                self._open.foreign = True

    def _end_property(self, name: str, begin: int, end: int) -> None:
        if self._open is None:
            return
        namespace, local, _ = _parts(name)
        if namespace == NAMESPACE:
            self.values[local] = "".join(self._text)
            self._open.ours.append(self._stretched(begin, end))
        else:
            self._open.foreign = True

    def _attributes(self, begin: int, end: int) -> dict[str, tuple[int, int]]:
        """Where each attribute of a start tag stands, by its name as written."""
        tag_name = _TAG_NAME.match(self._data, begin)
        found = _ATTRIBUTE.finditer(self._data, tag_name.end() if tag_name else begin, end)
        return {one[1].decode("utf-8"): one.span() for one in found}

    def _stretched(self, begin: int, end: int) -> tuple[int, int]:
        """With the white space before it, so that taking out undoes putting in exactly."""
        return _without_space(self._data, begin), end

    def _note_source_type(self, names: list[str]) -> None:
        self.has_source_type |= any(_is(name, _IPTC, "DigitalSourceType") for name in names)


def _find(data: bytes) -> _Places:
    parser = expat.ParserCreate("utf-8", namespace_separator=_SEPARATOR)
    parser.namespace_prefixes = True
    parser.buffer_text = True
    places = _Places(data, parser)
    parser.StartElementHandler = places.start
    parser.EndElementHandler = places.end
    parser.CharacterDataHandler = places.text
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise _refusal(f"it is not well-formed ({error})") from error
    return places


def _tag_end(data: bytes, begin: int) -> int:
    """Behind the ">" that ends the tag begun here; a ">" inside quotes does not."""
    found = _TAG.match(data, begin)
    if found is None:
        raise _refusal("its tags cannot be taken apart")
    return found.end()


def _without_space(data: bytes, end: int) -> int:
    while end and data[end - 1] in b" \t\r\n":
        end -= 1
    return end


def _parts(name: str) -> tuple[str, str, str]:
    """Namespace, local name and prefix of a name as expat gives it."""
    parts = name.split(_SEPARATOR)
    if len(parts) == 1:
        return "", name, ""
    return parts[0], parts[1], parts[2] if len(parts) > 2 else ""


def _is(name: str, namespace: str, local: str) -> bool:
    return _parts(name)[:2] == (namespace, local)
