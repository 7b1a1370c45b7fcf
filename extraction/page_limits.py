"""How large a document may be, and how large its pages become."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PageLimits:
    """What is accepted (found in headers, before anything is decoded) and what is made of it.

    Attributes:
        bytes: most bytes of a document.
        pages: most pages of a document.
        pixels: most pixels of one page of an image as sent.
        side_pixels: longest side of an image as sent.
        least_side_pixels: shortest side of an image as sent.
        page_side_pixels: the longer side of a page after scaling down.
        narrow_side_pixels: what scaling down leaves of the shorter side of a long, narrow page.
        narrow_page_side_pixels: the longer side of such a page.
        pdf_dpi: the finest resolution at which a PDF page is drawn.
        pdf_seconds: wall-clock time that drawing a PDF may take.
        pdf_memory_bytes: address space that drawing a PDF may take.
    """

    bytes: int = 20_000_000
    pages: int = 32
    pixels: int = 50_000_000
    side_pixels: int = 20_000
    least_side_pixels: int = 16
    page_side_pixels: int = 2_000
    narrow_side_pixels: int = 700
    narrow_page_side_pixels: int = 6_000
    pdf_dpi: int = 300
    pdf_seconds: float = 30.0
    pdf_memory_bytes: int = 1 << 30

    def scale(self, width: float, height: float) -> float:
        """The factor that brings a page to its bounded size; above 1 where there is room.

        The longer side becomes `page_side_pixels`. A till roll of 800 x 6,000 pixels would be
        unreadable like that, so a narrow page keeps `narrow_side_pixels` of its shorter side, as
        far as `narrow_page_side_pixels` allows; both rules give about the same area.
        """
        longer, shorter = max(width, height), min(width, height)
        narrow = min(self.narrow_side_pixels / shorter, self.narrow_page_side_pixels / longer)
        return max(self.page_side_pixels / longer, narrow)
