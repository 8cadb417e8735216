"""Names for the files that are no scan, so that a refusal says what they are and what to do."""

from __future__ import annotations

from scanmend.errors import DamagedFile, FormatError, UnsupportedFormat

_EXPORT = "export it as TIFF or PNG"
_DEVELOP = "develop it and export it as 16-bit TIFF"
_UNPACK = "unpack it first"
_RAW = "a camera raw file"

# (offset, magic, what it is, what to do). First match wins.
_KINDS: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"GIF87a", "a GIF picture", _EXPORT),
    (0, b"GIF89a", "a GIF picture", _EXPORT),
    (0, b"8BPS", "a Photoshop document", _EXPORT),
    (0, b"gimp xcf", "a GIMP document", _EXPORT),
    (0, b"%PDF-", "a PDF document", "export its pages as TIFF or PNG"),
    (0, b"%!PS", "a PostScript document", "export its pages as TIFF or PNG"),
    (0, b"\xc5\xd0\xd3\xc6", "a PostScript document", "export its pages as TIFF or PNG"),
    (0, b"AT&TFORM", "a DjVu document", "export its pages as TIFF or PNG"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 picture", _EXPORT),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 picture", _EXPORT),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL picture", _EXPORT),
    (0, b"\xff\x0a", "a JPEG XL picture", _EXPORT),
    (0, b"II\xbc", "a JPEG XR picture", _EXPORT),
    (0, b"\x8aMNG\r\n\x1a\n", "an MNG animation", _EXPORT),
    (0, b"\x8bJNG\r\n\x1a\n", "a JNG picture", _EXPORT),
    (8, b"CR\x02", _RAW + " (Canon CR2)", _DEVELOP),
    (0, b"II\x1a\0\0\0HEAPCCDR", _RAW + " (Canon CRW)", _DEVELOP),
    (4, b"ftypcrx ", _RAW + " (Canon CR3)", _DEVELOP),
    (0, b"FUJIFILMCCD-RAW", _RAW + " (Fujifilm RAF)", _DEVELOP),
    (0, b"IIRO", _RAW + " (Olympus ORF)", _DEVELOP),
    (0, b"IIRS", _RAW + " (Olympus ORF)", _DEVELOP),
    (0, b"MMOR", _RAW + " (Olympus ORF)", _DEVELOP),
    (0, b"IIU\0", _RAW + " (Panasonic RW2)", _DEVELOP),
    (0, b"FOVb", _RAW + " (Sigma X3F)", _DEVELOP),
    (0, b"\0MRM", _RAW + " (Minolta MRW)", _DEVELOP),
    (4, b"ftyphei", "an HEIC picture", _EXPORT),
    (4, b"ftyphev", "an HEIC picture", _EXPORT),
    (4, b"ftypmif1", "an HEIF picture", _EXPORT),
    (4, b"ftypmsf1", "an HEIF picture", _EXPORT),
    (4, b"ftyp", "a video", "export single frames as TIFF or PNG"),
    (0, b"RIFF", "a sound or video file", "export single frames as TIFF or PNG"),
    (0, b"\x1a\x45\xdf\xa3", "a video", "export single frames as TIFF or PNG"),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR picture", _EXPORT),
    (0, b"#?RADIANCE", "a Radiance HDR picture", _EXPORT),
    (0, b"DDS ", "a DDS texture", _EXPORT),
    (0, b"\0\0\x01\0", "an icon", _EXPORT),
    (0, b"\0\0\x02\0", "a cursor or a Targa picture", _EXPORT),
    (0, b"\x01\xda", "an SGI picture", _EXPORT),
    (0, b"\x0a\x02\x01", "a PCX picture", _EXPORT),
    (0, b"\x0a\x03\x01", "a PCX picture", _EXPORT),
    (0, b"\x0a\x05\x01", "a PCX picture", _EXPORT),
    (0, b"\x0a\x05\0", "a PCX picture", _EXPORT),
    (0, b"id=ImageMagick", "an ImageMagick MIFF picture", _EXPORT),
    (0, b"qoif", "a QOI picture", _EXPORT),
    (0, b"SIMPLE  =", "a FITS picture", _EXPORT),
    (0, b"Paint Shop Pro", "a Paint Shop Pro document", _EXPORT),
    (0, b"\xd7\xcd\xc6\x9a", "a Windows metafile", _EXPORT),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office document", "save its pictures as TIFF or PNG"),
    (0, b"PK\x03\x04", "a ZIP archive or an Office document", _UNPACK),
    (0, b"\x1f\x8b", "a gzip archive", _UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (0, b"Rar!", "a RAR archive", _UNPACK),
    (0, b"\x7fELF", "a program", "name a picture"),
    (0, b"MZ", "a program", "name a picture"),
)
_NETPBM = tuple(
    b"P" + digit + space for digit in (b"1", b"2", b"3", b"4", b"5", b"6", b"7") for space in (b"\n", b" ")
)
_WEB = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script")


def only_looks_like(head: bytes) -> bool:
    """Tells whether a file that begins like TIFF is a camera's raw file after all."""
    return head[8:11] == b"CR\x02" and head[:4] == b"II*\0"


def refusal(name: str, head: bytes, size: int) -> FormatError:
    """The error for a file that no family recognises.

    Args:
        name: the file's name.
        head: its first 64 bytes.
        size: all its bytes.
    """
    for offset, magic, what, hint in _KINDS:
        if head.startswith(magic, offset):
            return UnsupportedFormat(f"{name} is {what}", hint=hint)
    if head.startswith(_NETPBM):
        return UnsupportedFormat(f"{name} is a Netpbm picture", hint=_EXPORT)
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(_WEB):
        return UnsupportedFormat(f"{name} is a web page, not a picture", hint="download the picture itself")
    if text.startswith(b"<svg") or (text.startswith(b"<?xml") and b"svg" in text):
        return UnsupportedFormat(f"{name} is an SVG drawing", hint=_EXPORT)
    if not head.strip(b"\0"):
        return DamagedFile(
            f"{name} begins with nothing but zeros", hint="its copy was interrupted; copy it again"
        )
    if _is_text(head):
        return UnsupportedFormat(f"{name} is a text file, not a picture", hint="name a picture")
    if size < len(head) or size <= 2:
        return DamagedFile(f"{name} has only {size} bytes", hint="copy it again")
    return UnsupportedFormat(
        f"{name} is of a kind that Scanmend does not know",
        hint="it reads TIFF, PNG, JPEG, WebP, AVIF and BMP",
    )


def _is_text(head: bytes) -> bool:
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return True
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # the head may end inside a character
            return False
        text = head[: error.start].decode("utf-8")
    return len(text) > 3 and all(c.isprintable() or c in "\t\r\n\f" for c in text)
