"""TIFF and BigTIFF: read in bands, rewritten by surgery on a copy, written anew.

`tags` and `ifd` know the skeleton, `coding` how pixels are stored, `meaning` what they
are; `rows` and `codecs` read them, `encode` and `target` write them, `rewrite` puts new
pixels into an old file, `new` makes a fresh one, `exif` carries metadata across.
"""

from __future__ import annotations

from scanmend.formats.tiff.file import TiffFile, open_file, sniff
from scanmend.formats.tiff.new import write_new

__all__ = ["TiffFile", "open_file", "sniff", "write_new"]
