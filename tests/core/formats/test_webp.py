from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import struct
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scanmend.errors import DamagedFile, FormatError, LimitExceeded
from scanmend.formats import webp
from scanmend.formats.base import Limits, OutputOptions, ScanFile
from scanmend.formats.meta import Metadata
from scanmend.image import Alpha, Array, Color, Layout, PageData

many = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
EXIF = struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 0x0112, 3, 1, 6, 0, 0)
PACKET = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
PICTURE = (b"VP8 ", b"VP8L", b"ALPH")


def photo(channels: int = 3, height: int = 60, width: int = 83) -> Array:
    """Smooth forms; alpha, where asked for, is nought in the upper third, with noise under it."""
    y, x = np.mgrid[0:height, 0:width]
    forms = [128 + 90 * np.sin(x / 13), 128 + 90 * np.sin(y / 11), 128 + 90 * np.sin((x + y) / 17)]
    pixels = np.stack([*forms, x * 255 / width], axis=2).astype(np.uint8)
    pixels[: height // 3, :, 3] = 0
    pixels[: height // 3, :, :3] = np.random.default_rng(0).integers(0, 256, (height // 3, width, 3))
    return np.array(pixels[:, :, :channels])


def encoded(pixels: Array | None = None, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(photo() if pixels is None else pixels)
    image.save(buffer, "WEBP", **{"quality": 85, "exact": True, **options})
    return buffer.getvalue()


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 12
    while at < 8 + int.from_bytes(data[4:8], "little"):
        kind, size = struct.unpack_from("<4sI", data, at)
        found.append((kind, data[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    return found


def riff(parts: list[tuple[bytes, bytes]]) -> bytes:
    body = b"".join(
        struct.pack("<4sI", kind, len(content)) + content + bytes(len(content) % 2) for kind, content in parts
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def full_file(**options: Any) -> bytes:
    """A file with every known chunk, an unknown one, and bytes behind its end."""
    data = encoded(icc_profile=b"profile" * 31, exif=EXIF, xmp=PACKET, **options)
    return riff([*chunks(data), (b"ABCD", b"odd")]) + b"trailer"


def opened(folder: Path, data: bytes, limits: Limits | None = None) -> webp.WebpFile:
    path = folder / "scan.webp"
    path.write_bytes(data)
    return webp.open_file(path, limits or Limits())


def pixels_of(file: ScanFile) -> Array:
    return file.pages[0].read(0, file.pages[0].layout.height)


def page(pixels: Array, color: Color = "rgb", alpha: Alpha = "none", bits: int = 8) -> PageData:
    height, width, channels = pixels.shape
    layout = Layout(height, width, channels, color, pixels.dtype, bits, alpha=alpha)
    return PageData(layout, iter((pixels[:20], pixels[20:])))


def rewritten(folder: Path, data: bytes, *, pixels: bool = True, xmp: bytes | None = None) -> bytes:
    target = folder / "new.webp"
    with opened(folder, data) as file:
        pages = {0: PageData(file.pages[0].layout, iter((pixels_of(file),)))} if pixels else {}
        assert file.rewrite(target, pages, xmp=xmp, options=OutputOptions()) == ()
    return target.read_bytes()


def by_pillow(data: bytes) -> Array:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


KINDS: dict[str, dict[str, Any]] = {
    "lossy": {},
    "lossless": {"lossless": True},
    "lossy with alpha": {"pixels": photo(4)},
    "lossless with alpha": {"pixels": photo(4), "lossless": True},
}


@pytest.fixture(params=list(KINDS.values()), ids=list(KINDS))
def kind(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(request.param)


def test_every_kind_decodes_as_pillow_decodes_it(tmp_path: Path, kind: dict[str, Any]) -> None:
    data = encoded(**kind)

    with opened(tmp_path, data) as file:
        assert np.array_equal(pixels_of(file), by_pillow(data))
        assert np.array_equal(file.pages[0].read(5, 9), pixels_of(file)[5:9])
        assert file.pages[0].compression.startswith("lossless") == bool(kind.get("lossless"))


def test_metadata_is_read(tmp_path: Path) -> None:
    with opened(tmp_path, full_file()) as file:
        assert file.metadata() == Metadata(icc=b"profile" * 31, exif=EXIF, xmp=PACKET, orientation=6)
        assert file.notes == ("7 bytes after the end of the picture were kept",)


def test_every_chunk_but_the_picture_stays_byte_for_byte(tmp_path: Path, kind: dict[str, Any]) -> None:
    data = full_file(**kind)

    new = rewritten(tmp_path, data)

    kept = [[chunk for chunk in chunks(d) if chunk[0] not in PICTURE] for d in (data, new)]
    assert kept[0] == kept[1]
    assert new.endswith(b"trailer")
    assert by_pillow(new).shape == by_pillow(data).shape


@pytest.mark.parametrize("channels", [3, 4])
def test_lossless_stays_lossless_even_under_transparent_pixels(tmp_path: Path, channels: int) -> None:
    data = encoded(photo(channels), lossless=True)

    new = rewritten(tmp_path, data)

    with opened(tmp_path, new) as file:
        assert np.array_equal(pixels_of(file), photo(channels))
    assert b"VP8L" in dict(chunks(new))


def test_alpha_of_a_lossy_picture_stays_exact(tmp_path: Path) -> None:
    new = rewritten(tmp_path, encoded(photo(4)))

    assert np.array_equal(by_pillow(new)[:, :, 3], photo(4)[:, :, 3])


def test_opaque_alpha_stays_alpha(tmp_path: Path, kind: dict[str, Any]) -> None:
    data = encoded(photo(4), lossless=bool(kind.get("lossless")))
    opaque = photo(4) | np.array([0, 0, 0, 255], np.uint8)
    with opened(tmp_path, data) as file:
        file.rewrite(
            tmp_path / "new.webp", {0: page(opaque, alpha="straight")}, xmp=None, options=OutputOptions()
        )

    with webp.open_file(tmp_path / "new.webp", Limits()) as file:
        assert file.pages[0].layout.alpha == "straight"
        assert (pixels_of(file)[:, :, 3] == 255).all()


def test_a_simple_file_without_metadata_stays_simple(tmp_path: Path) -> None:
    new = rewritten(tmp_path, encoded())

    assert [name for name, _ in chunks(new)] == [b"VP8 "]


def test_a_first_packet_makes_an_extended_file_with_the_right_flags(
    tmp_path: Path, kind: dict[str, Any]
) -> None:
    data = encoded(**kind)

    new = rewritten(tmp_path, data, pixels=False, xmp=PACKET)

    (head, content), *_ = chunks(new)
    assert head == b"VP8X"
    assert content[0] == 0x04 | (0x10 if "pixels" in kind else 0)
    assert dict(chunks(new))[b"XMP "] == PACKET
    with Image.open(io.BytesIO(new)) as image:
        assert image.size == (83, 60)
        assert image.info["xmp"] == PACKET
    assert np.array_equal(by_pillow(new), by_pillow(data))


def test_a_new_packet_takes_the_place_of_the_old(tmp_path: Path) -> None:
    data = full_file()

    new = rewritten(tmp_path, data, pixels=False, xmp=b"<new/>")

    expected = [(name, b"<new/>" if name == b"XMP " else content) for name, content in chunks(data)]
    assert chunks(new) == expected


def test_nothing_to_change_gives_the_same_file(tmp_path: Path) -> None:
    assert rewritten(tmp_path, full_file(), pixels=False) == full_file()


def test_an_animation_reads_its_first_frame_and_is_refused_for_restoring(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    frames = [Image.fromarray(photo()), Image.fromarray(photo()[::-1])]
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:], lossless=True)

    with opened(tmp_path, buffer.getvalue()) as file:
        assert np.array_equal(pixels_of(file), photo())
        assert "animation" in (file.pages[0].refusal or "")
        with pytest.raises(FormatError, match="animation"):
            file.rewrite(tmp_path / "new.webp", {0: page(photo())}, xmp=None, options=OutputOptions())


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_damaged_wherever_it_ends(
    tmp_path: Path, kind: dict[str, Any], share: float
) -> None:
    data = encoded(**kind)

    with pytest.raises(DamagedFile, match=r"scan\.webp"):
        opened(tmp_path, data[: int(len(data) * share)])


def test_a_truncated_picture_in_a_whole_container_is_damaged(tmp_path: Path, kind: dict[str, Any]) -> None:
    # Half of a lossless picture or of a lossy one; alpha is left whole.
    parts = [(n, c[: len(c) // 2] if n in (b"VP8 ", b"VP8L") else c) for n, c in chunks(encoded(**kind))]

    with pytest.raises(DamagedFile, match="damaged"):
        pixels_of(opened(tmp_path, riff(parts)))


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [(b"EXIF", EXIF)],
        [(b"VP8 ", b"")],
        [(b"VP8L", b"\x2e1234")],
        [(b"VP8X", bytes(10))],
        [(b"VP8X", bytes(4)), (b"EXIF", EXIF)],
        [(b"VP8 ", b"\0\0\0\x9d\x01\x2a\0\0\0\0")],
    ],
)
def test_a_container_without_a_picture_is_damaged(tmp_path: Path, parts: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(DamagedFile, match="no picture"):
        opened(tmp_path, riff(parts) + bytes(20))


def test_a_chunk_beyond_the_file_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(DamagedFile, match="4294967295"):
        opened(tmp_path, riff([(b"EXIF", EXIF)]).replace(struct.pack("<I", len(EXIF)), b"\xff" * 4))


def test_limits_hold_before_anything_is_decoded(tmp_path: Path) -> None:
    huge = struct.pack("<4s", bytes(4)) + b"\xff\xff\x7f" * 2

    with pytest.raises(LimitExceeded, match="8388608 x 8388608"):
        opened(tmp_path, riff([(b"VP8X", huge), *chunks(encoded())]))
    with pytest.raises(LimitExceeded):
        opened(tmp_path, encoded(), Limits(megapixels=0.001))


def test_a_header_that_lies_about_the_size_is_refused_when_read(tmp_path: Path) -> None:
    head = bytes(4) + (999).to_bytes(3, "little") * 2

    with pytest.raises(FormatError):
        pixels_of(opened(tmp_path, riff([(b"VP8X", head), *chunks(encoded())])))


@many
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_changed_byte_gives_a_picture_or_a_clear_refusal(
    tmp_path: Path, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(full_file(pixels=photo(4)))
    for place, value in changes:
        data[12 + place % (len(data) - 12)] = value

    with contextlib.suppress(FormatError), opened(tmp_path, bytes(data), Limits(megapixels=4)) as file:
        layout = file.pages[0].layout

        assert pixels_of(file).shape == (layout.height, layout.width, layout.channels)


@pytest.mark.parametrize(
    "bad",
    [
        page(np.zeros((60, 83, 4), np.uint8), alpha="straight"),
        page(np.zeros((60, 83, 3), np.uint16), bits=16),
        page(np.zeros((60, 83, 1), np.uint8), "grey"),
        page(np.zeros((30, 83, 3), np.uint8)),
    ],
    ids=["alpha", "16 bits", "grey", "size"],
)
def test_pages_that_do_not_fit_the_file_are_refused(tmp_path: Path, bad: PageData) -> None:
    with opened(tmp_path, encoded()) as file, pytest.raises(FormatError):
        file.rewrite(tmp_path / "new.webp", {0: bad}, xmp=None, options=OutputOptions())


@pytest.mark.parametrize(
    ("color", "channels", "alpha"), [("rgb", 3, "none"), ("rgb", 4, "straight"), ("grey", 1, "none")]
)
def test_a_new_file_carries_pixels_and_metadata(
    tmp_path: Path, color: Color, channels: int, alpha: Alpha
) -> None:
    pixels = photo(channels)
    meta = Metadata(
        icc=b"profile", dpi=(600, 300), exif=EXIF, xmp=PACKET, iptc=b"\x1c\x02\x78\0\1x", orientation=6
    )

    notes = webp.write_new(
        tmp_path / "new.webp", [page(pixels, color, alpha)], meta, OutputOptions(quality=100)
    )

    with webp.open_file(tmp_path / "new.webp", Limits()) as file:
        assert np.array_equal(pixels_of(file)[..., :channels], pixels)
        new = file.metadata()
        assert (new.icc, new.dpi, new.xmp, new.orientation) == (b"profile", (600, 300), PACKET, 6)
    assert any("IPTC" in note for note in notes)
    assert any("grey" in note for note in notes) == (color == "grey")


def test_a_new_file_says_resolution_and_orientation_without_any_exif(tmp_path: Path) -> None:
    meta = Metadata(dpi=(1200, 1200), orientation=8)

    webp.write_new(tmp_path / "new.webp", [page(photo())], meta, OutputOptions())

    with Image.open(tmp_path / "new.webp") as image:
        exif = image.getexif()
        assert (exif[0x011A], exif[0x011B], exif[0x0128], exif[0x0112]) == (1200, 1200, 2, 8)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (page(np.zeros((9, 9, 3), np.uint16), bits=16), "8 bits"),
        (page(np.zeros((9, 9, 4), np.uint8), "cmyk"), "grey or RGB"),
        (page(np.zeros((9, 9, 4), np.uint8), alpha="premultiplied"), "grey or RGB"),
        (page(np.zeros((1, 16_384, 3), np.uint8)), "16383"),
    ],
)
def test_a_new_file_of_what_webp_cannot_hold_is_refused(tmp_path: Path, bad: PageData, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        webp.write_new(tmp_path / "new.webp", [bad], Metadata(), OutputOptions())


# Files found in the wild


def corpus(*folders: str) -> list[Any]:
    root = Path(os.environ.get("SCANMEND_TEST_DATA") or "/nowhere") / "io"
    if not root.is_dir():
        return [
            pytest.param(None, marks=pytest.mark.skip(reason="SCANMEND_TEST_DATA names no folder of scans"))
        ]
    return [
        pytest.param(path, id=f"{folder}/{path.name}")
        for folder in folders
        for path in sorted((root / folder).glob("*.webp"))
    ]


@pytest.mark.parametrize("path", corpus("ok", "made/ok", "odd"))
def test_a_good_file_reads_as_pillow_reads_it_and_keeps_its_tags(tmp_path: Path, path: Path) -> None:
    with webp.open_file(path, Limits()) as file:
        pixels = pixels_of(file)
        assert np.abs(pixels.astype(int) - by_pillow(path.read_bytes())).max() <= 1
        layout, refusal = file.pages[0].layout, file.pages[0].refusal
        pages = {} if refusal else {0: PageData(layout, iter((pixels,)))}
        file.rewrite(tmp_path / path.name, pages, xmp=None, options=OutputOptions())

    if shutil.which("exiftool") is None:
        pytest.skip("the pixels agree; exiftool is not installed to compare the tags")
    command = ["exiftool", "-a", "-u", "-G1", "-n", "-j", "-b", str(tmp_path / path.name), str(path)]
    # The encoder's own version, and a thumbnail's place in the file, belong to the encoding.
    moving = ("System:", "SourceFile", "RIFF:VP8Version", "IFD1:ThumbnailOffset")
    new, old = (
        {tag: value for tag, value in tags.items() if not tag.startswith(moving)}
        for tags in json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    )
    assert new == old


@pytest.mark.parametrize("path", corpus("broken"))
def test_a_bad_file_is_refused_quickly(path: Path) -> None:
    start = time.process_time()

    with pytest.raises(FormatError), webp.open_file(path, Limits()) as file:
        pixels_of(file)
    assert time.process_time() - start < 10
