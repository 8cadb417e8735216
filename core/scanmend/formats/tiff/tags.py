"""Numbers of TIFF 6.0, its technical notes, BigTIFF and EXIF 2.32 that this package needs."""

from __future__ import annotations

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 1, 2, 3, 4, 5, 7
LONG8 = 16
TYPE_SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
# What `struct` and NumPy call the integer types; 13 and 18 are IFD offsets.
INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}

SUBFILE, OLD_SUBFILE = 254, 255
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
FILL_ORDER, ORIENTATION, SAMPLES, ROWS_PER_STRIP = 266, 274, 277, 278
STRIP_OFFSETS, STRIP_COUNTS = 273, 279
MIN_SAMPLE, MAX_SAMPLE = 280, 281
X_RESOLUTION, Y_RESOLUTION, PLANAR, RESOLUTION_UNIT = 282, 283, 284, 296
GRAY_UNIT, GRAY_CURVE, T4_OPTIONS, T6_OPTIONS, TRANSFER_FUNCTION = 290, 291, 292, 293, 301
PREDICTOR, HALFTONE, TILE_WIDTH, TILE_HEIGHT = 317, 321, 322, 323
COLOR_MAP, TILE_OFFSETS, TILE_COUNTS = 320, 324, 325
SUB_IFDS, INK_SET, EXTRA_SAMPLES, SAMPLE_FORMAT = 330, 332, 338, 339
S_MIN_SAMPLE, S_MAX_SAMPLE, JPEG_TABLES = 340, 341, 347
OLD_JPEG_START, OLD_JPEG_LENGTH = 513, 514
OLD_JPEG = tuple(range(512, 522))
YCC_COEFFICIENTS, YCC_SUBSAMPLING, YCC_POSITIONING, REFERENCE_BW = 529, 530, 531, 532
XMP, IPTC, PHOTOSHOP, EXIF_IFD, ICC, GPS_IFD, INTEROP_IFD = 700, 33723, 34377, 34665, 34675, 34853, 40965
DNG_VERSION, LERC_PARAMETERS, MAKER_NOTE = 50706, 50674, 37500
# Values that are offsets of further IFDs (330 SubIFDs, 400 GlobalParametersIFD).
POINTERS = (SUB_IFDS, 400, EXIF_IFD, GPS_IFD, INTEROP_IFD)

NAMES = {
    WIDTH: "ImageWidth",
    HEIGHT: "ImageLength",
    BITS: "BitsPerSample",
    COMPRESSION: "Compression",
    PHOTOMETRIC: "PhotometricInterpretation",
    FILL_ORDER: "FillOrder",
    SAMPLES: "SamplesPerPixel",
    ROWS_PER_STRIP: "RowsPerStrip",
    STRIP_OFFSETS: "StripOffsets",
    STRIP_COUNTS: "StripByteCounts",
    PLANAR: "PlanarConfiguration",
    PREDICTOR: "Predictor",
    TILE_WIDTH: "TileWidth",
    TILE_HEIGHT: "TileLength",
    COLOR_MAP: "ColorMap",
    TILE_OFFSETS: "TileOffsets",
    TILE_COUNTS: "TileByteCounts",
    EXTRA_SAMPLES: "ExtraSamples",
    SAMPLE_FORMAT: "SampleFormat",
    JPEG_TABLES: "JPEGTables",
    YCC_SUBSAMPLING: "YCbCrSubSampling",
    YCC_COEFFICIENTS: "YCbCrCoefficients",
    REFERENCE_BW: "ReferenceBlackWhite",
    XMP: "XMP",
    IPTC: "IPTC",
    ICC: "ICC profile",
    X_RESOLUTION: "XResolution",
    Y_RESOLUTION: "YResolution",
}

NONE, CCITT_RLE, CCITT_G3, CCITT_G4, LZW, OJPEG, JPEG, DEFLATE = 1, 2, 3, 4, 5, 6, 7, 8
PACKBITS, OLD_DEFLATE, LERC, LZMA = 32773, 32946, 34887, 34925
ZSTD, WEBP, JPEG_XL, JPEG_XL_DNG = 50000, 50001, 50002, 52546
JPEG_2000, APERIO_J2K_YCC, APERIO_J2K_RGB = 34712, 33003, 33005
COMPRESSIONS = {
    NONE: "none",
    CCITT_RLE: "CCITT run lengths",
    CCITT_G3: "CCITT group 3",
    CCITT_G4: "CCITT group 4",
    LZW: "LZW",
    OJPEG: "old-style JPEG",
    JPEG: "JPEG",
    DEFLATE: "deflate",
    OLD_DEFLATE: "deflate",
    PACKBITS: "PackBits",
    LERC: "LERC",
    LZMA: "LZMA",
    ZSTD: "zstd",
    WEBP: "WebP",
    JPEG_XL: "JPEG XL",
    JPEG_XL_DNG: "JPEG XL",
    JPEG_2000: "JPEG 2000",
}
LOSSLESS = frozenset({NONE, LZW, DEFLATE, OLD_DEFLATE, PACKBITS, ZSTD, LZMA})
# libtiff honours Predictor with these alone, and so do we; elsewhere the tag has no meaning.
PREDICTED = frozenset({LZW, DEFLATE, OLD_DEFLATE, ZSTD, LZMA})
PICTURES = frozenset({OJPEG, JPEG, LERC, WEBP, JPEG_XL, JPEG_XL_DNG, JPEG_2000})

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, MASK, CMYK, YCBCR, LAB = 0, 1, 2, 3, 4, 5, 6, 8
ICC_LAB, ITU_LAB, CFA, LINEAR_RAW = 9, 10, 32803, 34892


def name(tag: int) -> str:
    """The tag as TIFF calls it, for messages."""
    return NAMES.get(tag, f"tag {tag}")
