"""Media types by the first bytes of a file; names and declared types do not count."""

from extraction.errors import UnreadableDocument, UnsupportedFormat

JPEG = "image/jpeg"
PNG = "image/png"
WEBP = "image/webp"
TIFF = "image/tiff"
HEIC = "image/heic"
PDF = "application/pdf"
TEXT = "text/plain"

# Brands of ISO base media files that hold HEVC-coded images (ISO/IEC 23008-12).
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_ACCEPTED = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"II*\x00", TIFF),
    (b"MM\x00*", TIFF),
    (b"II+\x00", TIFF),
    (b"MM\x00+", TIFF),
)
# Formats that people send by mistake, for a message that says so.
_REFUSED = (
    (b"GIF8", "GIF"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "EPS"),
    (b"SIMPLE  =", "FITS"),
    (b"BM", "BMP"),
    (b"PK\x03\x04", "ZIP (or an office document)"),
    (b"\xd0\xcf\x11\xe0", "An old office document"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"8BPS", "Photoshop"),
    (b"\x1f\x8b", "gzip"),
    (b"{\\rtf", "RTF"),
    (b"<", "HTML, SVG or XML"),
)


def media_type(content: bytes) -> str:
    """The media type of an accepted format.

    Only the start of the file decides, so a file that is two formats at once is the one that it
    starts as. A PDF may start with a byte order mark or white space, as real ones do.

    Raises:
        UnreadableDocument: there are no bytes.
        UnsupportedFormat: any other format.
    """
    if not content:
        raise UnreadableDocument("it is empty")
    start = content[:32]
    for magic, accepted in _ACCEPTED:
        if start.startswith(magic):
            return accepted
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return WEBP
    if start[4:8] == b"ftyp":
        if start[8:12] in _HEIC_BRANDS:
            return HEIC
        raise UnsupportedFormat("AVIF" if start[8:12] in {b"avif", b"avis"} else "A video")
    if start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"%PDF-"):
        return PDF
    for magic, name in _REFUSED:
        if start.startswith(magic):
            raise UnsupportedFormat(name)
    raise UnsupportedFormat("This kind of file")
