from __future__ import annotations

import re
import time
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scanmend import xmp
from scanmend.errors import FormatError

SOURCE_TYPE = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
RICH = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<!-- kept -->
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Some Toolkit 1.0">
  <r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
    <r:Description r:about="uuid:1" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:format="image/tiff"
        xmlns:odd='http://example.org/odd?a="b"' odd:note='a > b'>
      <dc:title><r:Alt><r:li xml:lang="x-default">Überfahrt &amp; mehr</r:li></r:Alt></dc:title>
    </r:Description>
    <r:Description r:about="uuid:1" xmlns:ns0="http://example.org/taken#"><ns0:deep r:parseType="Resource">
      <ns0:leaf>1</ns0:leaf></ns0:deep></r:Description>
  </r:RDF>
</x:xmpmeta>
            \n            \n<?xpacket end="w"?>"""
EMPTY = '<a:RDF xmlns:a="http://www.w3.org/1999/02/22-rdf-syntax-ns#" />'
NAMES = st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_.-]{0,12}\Z")
TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=40
)


def plain(packet: bytes) -> str:
    return re.sub(r"\s*<rdf:Description.*?</rdf:Description>", "", packet.decode("utf-8"), flags=re.DOTALL)


@settings(deadline=None)
@given(st.dictionaries(NAMES, TEXTS, max_size=6))
def test_what_is_written_is_read_back(properties: dict[str, str]) -> None:
    assert xmp.read(xmp.merge(None, properties)) == properties
    assert xmp.read(xmp.merge(RICH.encode(), properties)) == properties


@settings(deadline=None)
@given(st.dictionaries(NAMES, TEXTS, max_size=6), st.dictionaries(NAMES, TEXTS, max_size=6))
def test_merging_again_replaces_and_never_adds_up(first: dict[str, str], second: dict[str, str]) -> None:
    once = xmp.merge(RICH.encode(), second)
    again = xmp.merge(xmp.merge(RICH.encode(), first), second)

    assert again == once
    assert xmp.merge(once, second) == once


def test_nothing_else_in_the_packet_changes_by_a_byte() -> None:
    merged = xmp.merge(RICH.encode(), {"Version": "1"})

    assert plain(merged) == RICH
    assert merged.decode().endswith('            \n            \n<?xpacket end="w"?>')


def test_new_descriptions_are_about_the_same_thing() -> None:
    root = ET.fromstring(xmp.merge(RICH.encode(), {"Version": "1"}).decode())  # noqa: S314 - our own text
    subjects = {d.get("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}about") for d in root[0]}

    assert subjects == {"uuid:1"}


def test_the_digital_source_type_is_added_once() -> None:
    merged = xmp.merge(xmp.merge(None, {"A": "1"}), {"A": "2"})
    found = ET.fromstring(merged.decode()).findall(f".//{SOURCE_TYPE}")  # noqa: S314 - our own text

    assert [element.text for element in found] == [xmp.SOURCE_TYPE]


@pytest.mark.parametrize(
    "there",
    [
        '<i:DigitalSourceType xmlns:i="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">mine</i:DigitalSourceType>',
        '<i:DigitalSourceType xmlns:i="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" r:resource="mine"/>',
    ],
)
def test_a_digital_source_type_that_is_there_stays(there: str) -> None:
    merged = xmp.merge(RICH.replace("</dc:title>", "</dc:title>" + there).encode(), {"A": "1"})

    assert there.encode() in merged
    assert xmp.SOURCE_TYPE.encode() not in merged


def test_a_digital_source_type_as_attribute_stays() -> None:
    attribute = 'xmlns:i="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" i:DigitalSourceType="mine" '
    merged = xmp.merge(RICH.replace("dc:format", attribute + "dc:format").encode(), {"A": "1"})

    assert xmp.SOURCE_TYPE.encode() not in merged


def test_properties_that_another_tool_moved_are_found_and_replaced() -> None:
    moved = RICH.replace(
        "dc:format", 'xmlns:s="urn:scanmend:xmp:1#" odd:fake=\' s:Old="trap"\' s:Old="1" dc:format'
    ).replace("</dc:title>", "</dc:title>\n      <s:Older>2</s:Older>")
    expected = RICH.replace("dc:format", 'xmlns:s="urn:scanmend:xmp:1#" odd:fake=\' s:Old="trap"\' dc:format')

    assert xmp.read(moved.encode()) == {"Old": "1", "Older": "2"}
    merged = xmp.merge(moved.encode(), {"New": "3"})
    assert xmp.read(merged) == {"New": "3"}
    assert plain(merged) == expected


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_the_encoding_stays(encoding: str, mark: str) -> None:
    merged = xmp.merge((mark + RICH).encode(encoding), {"A": "ü"})

    assert plain(merged.decode(encoding).encode()) == mark + RICH
    assert xmp.read(merged) == {"A": "ü"}


def test_zeros_behind_a_packet_stay() -> None:
    merged = xmp.merge(RICH.encode() + bytes(7), {"A": "1"})

    assert merged == xmp.merge(RICH.encode(), {"A": "1"}) + bytes(7)


def test_an_rdf_element_closed_at_once_is_opened() -> None:
    merged = xmp.merge(EMPTY.encode(), {"A": "1"})

    assert xmp.read(merged) == {"A": "1"}
    assert merged.endswith(b"</a:RDF>")


@pytest.mark.parametrize(
    "packet",
    [
        '<!DOCTYPE x [<!ENTITY a "b">]>' + EMPTY,
        '<!doctype x SYSTEM "http://example.org/">' + EMPTY,
        EMPTY.replace("/>", '><!ENTITY a "b"></a:RDF>'),
        "<a>",
        "<a/>",
        "not XML",
        "<a>&undefined;</a>",
        EMPTY.replace("RDF", "RDF b:c='1'"),
        EMPTY.replace(" />", ">" + "<a:b>" * 300 + "</a:b>" * 300 + "</a:RDF>"),
        EMPTY.replace(" />", ">" + " " * (8 * 2**20) + "</a:RDF>"),
        EMPTY.replace(" />", ">" + "<a:b/>" * 250_000 + "</a:RDF>"),
    ],
    ids=range(11),
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_what_is_no_honest_packet_is_kept_as_it_is(packet: str, encoding: str) -> None:
    with pytest.raises(FormatError, match="was kept as it is and nothing was added"):
        xmp.merge(packet.encode(encoding), {"A": "1"})


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=200))
def test_noise_is_refused_in_one_sentence(noise: bytes) -> None:
    with pytest.raises(FormatError):
        xmp.merge(noise, {"A": "1"})


@settings(deadline=None)
@given(st.integers(0, len(RICH.encode())), st.binary(max_size=4))
def test_a_damaged_packet_is_refused_or_still_read(at: int, patch: bytes) -> None:
    sound = xmp.merge(RICH.encode(), {"A": "1"})
    damaged = sound[:at] + patch + sound[at + len(patch) :]

    try:
        merged = xmp.merge(damaged, {"B": "2"})
    except FormatError:
        return
    assert xmp.read(merged) == {"B": "2"}


def test_many_properties_take_time_in_proportion() -> None:
    attributes = " ".join(f's:a{number}="1"' for number in range(20_000))
    many = EMPTY.replace(" />", f'><a:Description xmlns:s="urn:scanmend:xmp:1#" {attributes}/></a:RDF>')
    started = time.process_time()

    merged = xmp.merge(many.encode(), {"A": "1"})

    assert xmp.read(merged) == {"A": "1"}
    assert time.process_time() - started < 5


def test_a_name_that_xml_does_not_allow_is_an_error() -> None:
    with pytest.raises(FormatError, match="cannot be the name"):
        xmp.merge(None, {"two words": "1"})


def test_characters_that_xml_does_not_allow_are_replaced() -> None:
    assert xmp.read(xmp.merge(None, {"A": "a\0b\x1b\ud800"})) == {"A": "a\ufffdb\ufffd\ufffd"}
