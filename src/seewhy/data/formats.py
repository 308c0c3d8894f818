"""Which files are images: the formats that Pillow decodes, without documents and films, and how their names end.

The table is written down rather than asked of Pillow, which would have to import all of its plugins for it.
"""

from __future__ import annotations

FORMATS = (
    "JPEG", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "AVIF", "JPEG2000", "PPM", "QOI", "TGA", "PCX", "DCX", "SGI", "SUN", "PSD", "ICO",
    "CUR", "ICNS", "DDS", "BLP", "FTEX", "FITS", "IM", "MSP", "PIXAR", "XBM", "XPM",
)  # fmt: skip
"""As Pillow calls them. Left out: EPS, WMF, HDF5, GRIB, BUFR (documents and data), MPEG and FLI (films), PCD, GBR, IPTC (no longer used),
and those without a mark of their own (SPIDER, IMT, MCIDAS, XVTHUMB), for which any file might pass."""

SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".avif", ".avifs", ".jp2", ".j2k",
    ".jpc", ".jpf", ".jpx", ".j2c", ".pbm", ".pgm", ".ppm", ".pnm", ".pfm", ".qoi", ".tga", ".icb", ".vda", ".vst", ".pcx", ".dcx", ".bw",
    ".rgb", ".rgba", ".sgi", ".ras", ".psd", ".ico", ".cur", ".icns", ".dds", ".blp", ".ftc", ".ftu", ".fit", ".fits", ".im", ".msp", ".pxr",
    ".xbm", ".xpm",
)  # fmt: skip

SHALLOW = (".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".dib", ".qoi", ".tga")
"""Endings of formats that hold 8 bits a channel."""

SIDECARS = (
    ".txt", ".md", ".rst", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".toml", ".ini", ".html", ".htm", ".pdf", ".doc",
    ".docx", ".xls", ".xlsx", ".log", ".py", ".ipynb", ".sh", ".mat", ".xmp", ".zip", ".gz", ".tar",
)  # fmt: skip
"""Files that usually lie beside images and are none."""

_ENDINGS = frozenset(suffix[1:] for suffix in SUFFIXES)


def suffix_of(name: str) -> str:
    """Return how a file's name ends, in small letters with the dot; "" where it has no ending."""
    stem, dot, ending = name.rpartition(".")
    return f".{ending.lower()}" if dot and stem else ""


def is_image_name(name: str) -> bool:
    """Whether a file is an image by its suffix."""
    return name.rpartition(".")[2].lower() in _ENDINGS
