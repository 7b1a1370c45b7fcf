"""Page -> list[Line]: the text lines of a page with box and score, in reading order (RapidOCR).

    page -> detect and recognise -> (looks turned? turn, read again) -> clean, mended text -> rows

RapidOCR's bundled PP-OCRv6 models run on OpenVINO at full detection resolution without the
orientation classifier: `bench/lines.py` compares that with RapidOCR's defaults.
"""

import logging
import math
import statistics
import threading
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from extraction.misreadings import mended
from extraction.pages import Page
from extraction.spaces import SpacedDecoder

if TYPE_CHECKING:
    from rapidocr import RapidOCR

logger = logging.getLogger(__name__)

# A recognised text below this score is noise more often than text (RapidOCR's own default).
LEAST_SCORE = 0.5
# A page whose mean score is below this is tried upside down.
DOUBTFUL_SCORE = 0.85
# The recogniser turns a crop that is so much taller than wide, so such boxes are text on its side.
TALL_RATIO = 1.5
# How many of the largest boxes decide which way up a doubtful page is.
PROBE_COUNT = 8
# Nothing can be read in fewer pixels than one small letter is high.
LEAST_SIDE_PIXELS = 8
# Boxes of neighbours in a row may overlap by this ratio of the page's width.
NEIGHBOUR_OVERLAP = 0.01
# The detector scales the shorter side up to 736 pixels; padding bounds what the longer one becomes.
MOST_ELONGATION = 6
# The detector takes about 250 bytes of memory per pixel: 1.3 GB at this size.
MOST_PIXELS = 4_200_000


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on a page, as ratios (0 to 1) of the page's width and height."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """Width as a ratio of the page's width."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Height as a ratio of the page's height."""
        return self.bottom - self.top

    @property
    def area(self) -> float:
        """Area as a ratio of the page's area."""
        return max(self.width, 0.0) * max(self.height, 0.0)

    def union(self, *others: "Box") -> "Box":
        """The smallest box that holds this box and the others."""
        boxes = (self, *others)
        return Box(
            min(box.left for box in boxes),
            min(box.top for box in boxes),
            max(box.right for box in boxes),
            max(box.bottom for box in boxes),
        )

    def overlap(self, other: "Box") -> float:
        """Intersection over union, 0 (apart) to 1 (equal)."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        if width <= 0 or height <= 0:
            return 0.0
        shared = width * height
        return shared / (self.area + other.area - shared)

    def turned(self, quarter_turns: int) -> "Box":
        """Where this box lies after its page was turned counter-clockwise by quarter turns."""
        match quarter_turns % 4:
            case 1:
                return Box(self.top, 1 - self.right, self.bottom, 1 - self.left)
            case 2:
                return Box(1 - self.right, 1 - self.bottom, 1 - self.left, 1 - self.top)
            case 3:
                return Box(1 - self.bottom, self.left, 1 - self.top, self.right)
            case _:
                return self


@dataclass(frozen=True, slots=True)
class Line:
    """A piece of text on one visual line.

    Attributes:
        text: NFC, without control characters, never empty.
        box: where it is on the page as given.
        score: the recogniser's mean character probability, 0 to 1.
        page: index of its page.
        quarter_turns: counter-clockwise quarter turns after which the text is upright; not 0 on
            pages that were scanned sideways or upside down.
        start: offset in a plain text that the line is from; -1 for a line of a page.
    """

    text: str
    box: Box
    score: float
    page: int
    quarter_turns: int = 0
    start: int = -1


class LineReader:
    """Reads the text lines of pages.

    Construction loads the models (about a second). One reader serves several threads, one page at a
    time; the models' own threads use the cores meanwhile.

    Args:
        threads: CPU threads of the models.
    """

    def __init__(self, threads: int = 2) -> None:
        self._ocr = _load(threads)
        self._lock = threading.Lock()

    def read(self, page: Page) -> list[Line]:
        """The lines of a page in reading order, their boxes on the page as given. Blocks.

        A page that looks turned (most boxes taller than wide, or a low mean score) is probed on its
        largest boxes and read a second time the right way up.
        """
        if min(page.width_pixels, page.height_pixels) < LEAST_SIDE_PIXELS:
            return []
        with self._lock:
            lines = self._read_image(page.image, page.index)
            turns = self._turns_to_upright(page.image, lines)
            if turns:
                upright = self._read_image(_turned(page.image, turns), page.index)
                lines = [
                    replace(line, box=line.box.turned(-turns), quarter_turns=turns)
                    for line in upright
                ]
        kept = [line for line in lines if line.text and line.score >= LEAST_SCORE]
        return [line for row in rows(mended(kept)) for line in row]

    def _read_image(self, image: Image.Image, page: int) -> list[Line]:
        """All that was detected, also what was read badly, in no particular order."""
        image = _bounded(image)
        width, height = image.size
        pixels = _padded(_as_bgr(image))
        found = self._ocr(pixels, use_det=True, use_cls=False, use_rec=True)
        if found.boxes is None or found.txts is None:
            return []
        lines = []
        for corners, text, score in zip(found.boxes, found.txts, found.scores, strict=True):
            xs, ys = corners[:, 0] / width, corners[:, 1] / height
            box = Box(
                max(float(xs.min()), 0.0),
                max(float(ys.min()), 0.0),
                min(float(xs.max()), 1.0),
                min(float(ys.max()), 1.0),
            )
            if box.area > 0:
                lines.append(Line(_clean(text), box, float(score), page))
        return lines

    def _turns_to_upright(self, image: Image.Image, lines: Sequence[Line]) -> int:
        """Counter-clockwise quarter turns that make the page upright; 0 where all looks well."""
        if not lines:
            return 0
        width, height = image.size
        total = sum(line.box.area for line in lines)
        tall = sum(
            line.box.area
            for line in lines
            if line.box.height * height >= TALL_RATIO * line.box.width * width
        )
        sideways = tall > total / 2
        score = sum(line.score * line.box.area for line in lines) / total
        if not sideways and score >= DOUBTFUL_SCORE:
            return 0
        probes = sorted(lines, key=lambda line: line.box.area, reverse=True)[:PROBE_COUNT]
        crops = [_crop(image, line.box) for line in probes]
        candidates = (1, 3) if sideways else (0, 2)
        # The first wins a tie, so an unreadable page stays as it is.
        return max(candidates, key=lambda turns: self._probe(crops, turns))

    def _probe(self, crops: Sequence[Image.Image], turns: int) -> float:
        """Mean recognition score of the crops after the turns."""
        pixels = [_as_bgr(_turned(crop, turns)) for crop in crops]
        scores = self._ocr.recognize_txt(pixels).scores
        return float(np.mean(scores)) if len(scores) else 0.0


def rows(lines: Sequence[Line]) -> list[list[Line]]:
    """Groups lines of one visual row: rows top to bottom, each left to right, pages in order.

    Two lines share a row when their vertical spans overlap by half of the lower one's height after
    the page's skew is taken out, and when neither stands above the other. The skew is the median
    slope between right-hand neighbours.
    """
    grouped: list[list[Line]] = []
    for page in sorted({line.page for line in lines}):
        grouped.extend(_page_rows([line for line in lines if line.page == page]))
    return grouped


@dataclass(slots=True)
class _Span:
    """A line as `rows` sees it: upright, skew removed."""

    line: Line
    left: float
    right: float
    centre: float
    height: float


def _page_rows(lines: Sequence[Line]) -> list[list[Line]]:
    if all(line.start >= 0 for line in lines):
        return [[line] for line in lines]
    upright = [line.box.turned(line.quarter_turns) for line in lines]
    slope = _skew(upright)
    spans = [
        _Span(
            line,
            box.left,
            box.right,
            (box.top + box.bottom) / 2 - slope * ((box.left + box.right) / 2 - 0.5),
            # The box of a slanted line is higher than the line.
            max(box.height - abs(slope) * box.width, box.height / 3),
        )
        for line, box in zip(lines, upright, strict=True)
    ]
    grouped: list[list[_Span]] = []
    for span in sorted(spans, key=lambda span: (span.centre, span.left)):
        # A row further up than the last few cannot reach down here; all of them would be quadratic.
        near = [row for row in grouped[-8:] if _joins(span, row)]
        if near:
            min(near, key=lambda row: abs(_centre(row) - span.centre)).append(span)
        else:
            grouped.append([span])
    grouped.sort(key=_centre)
    return [[span.line for span in sorted(row, key=lambda span: span.left)] for row in grouped]


def _centre(row: Sequence[_Span]) -> float:
    return statistics.fmean(span.centre for span in row)


def _joins(span: _Span, row: Sequence[_Span]) -> bool:
    """Whether the line continues the row: beside every member, level with the nearest of them."""
    for other in row:
        beside = min(span.right, other.right) - max(span.left, other.left)
        if beside > min(span.right - span.left, other.right - other.left) / 2:
            return False
    nearest = min(row, key=lambda other: max(other.left - span.right, span.left - other.right))
    lower, higher = sorted((span.height, nearest.height))
    level = (lower + higher) / 2 - abs(span.centre - nearest.centre)
    return min(level, lower) >= lower / 2 and lower * 3 >= higher


def _skew(boxes: Sequence[Box]) -> float:
    """Median slope (page heights per page width) between neighbours in a row; 0 where unknown."""
    slopes = []
    ordered = sorted(boxes, key=lambda box: box.left)
    for i, box in enumerate(ordered):
        best: tuple[float, float] | None = None
        for other in ordered[i + 1 :]:
            gap = other.left - box.right
            low, high = sorted((box.height, other.height))
            # Halves of one row are of one height and less than a line apart, even when slanted.
            step = (other.top + other.bottom - box.top - box.bottom) / 2
            if gap < -NEIGHBOUR_OVERLAP or high > 2 * low or abs(step) > 0.6 * low:
                continue
            if best is None or gap < best[0]:
                best = gap, step / (gap + (box.width + other.width) / 2 or math.inf)
        if best is not None:
            slopes.append(best[1])
    return statistics.median(slopes) if len(slopes) >= 4 else 0.0  # noqa: PLR2004 fewer is chance


def _load(threads: int) -> "RapidOCR":
    from rapidocr import EngineType, RapidOCR

    params: dict[str, Any] = {
        "Global.log_level": "error",
        "Global.use_cls": False,
        # `_bounded` has the say: RapidOCR's own limit makes a long till roll unreadable.
        "Global.max_side_len": 100_000,
        # Badly read lines are needed to see that a page is turned; `read` drops them afterwards.
        "Global.text_score": 0.0,
    }
    try:
        import openvino  # noqa: F401 only whether it can be imported
    except ImportError as error:
        logger.warning("OpenVINO cannot be imported, lines are read more slowly: %s", error)
        engine = EngineType.ONNXRUNTIME
        params["EngineConfig.onnxruntime.intra_op_num_threads"] = threads
    else:
        engine = EngineType.OPENVINO
        params["EngineConfig.openvino.inference_num_threads"] = threads
    params |= {f"{stage}.engine_type": engine for stage in ("Det", "Cls", "Rec")}
    ocr = RapidOCR(params=params)
    # RapidOCR loads a model when it is first used; a service wants that before it says it is ready.
    for model in (ocr._load_det_model(), ocr._load_rec_model()):  # noqa: SLF001 no public way
        if engine is EngineType.OPENVINO:
            _bound_memory(model.session, threads)
    ocr.text_rec.postprocess_op = SpacedDecoder(ocr.text_rec.postprocess_op)
    return ocr


def _bound_memory(session: Any, threads: int) -> None:
    """Compiles a model again without OpenVINO's cache of kernels per input shape.

    Every page and every batch of text has its own shape: with the cache, 50 receipts took 400 MB
    that never came back, 37 pages in four directions 1.6 GB. Without it a page costs 6 % more
    CPU time. RapidOCR has no parameter for it.
    """
    import openvino

    properties = {"INFERENCE_NUM_THREADS": str(threads), "CPU_RUNTIME_CACHE_CAPACITY": "0"}
    compiled = openvino.Core().compile_model(session.model, "CPU", properties)
    session.session = compiled.create_infer_request()


def _clean(text: str) -> str:
    """NFC, one space for any white space, no control, format or surrogate characters."""
    spaced = " ".join(text.split())
    kept = "".join(letter for letter in spaced if unicodedata.category(letter)[0] != "C")
    return unicodedata.normalize("NFC", kept).strip()


def _as_bgr(image: Image.Image) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])


def _bounded(image: Image.Image) -> Image.Image:
    """The image, scaled down where it and its padding exceed `MOST_PIXELS`."""
    width, height = image.size
    canvas = max(width, height / MOST_ELONGATION) * max(height, width / MOST_ELONGATION)
    if canvas <= MOST_PIXELS:
        return image
    scale = math.sqrt(MOST_PIXELS / canvas)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _padded(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """White beside or below a strip: coordinates stay, the detector's scaling is bounded."""
    height, width = pixels.shape[:2]
    right = max(math.ceil(height / MOST_ELONGATION) - width, 0)
    below = max(math.ceil(width / MOST_ELONGATION) - height, 0)
    if not right and not below:
        return pixels
    return np.pad(pixels, ((0, below), (0, right), (0, 0)), constant_values=255)


def _turned(image: Image.Image, quarter_turns: int) -> Image.Image:
    match quarter_turns % 4:
        case 1:
            return image.transpose(Image.Transpose.ROTATE_90)
        case 2:
            return image.transpose(Image.Transpose.ROTATE_180)
        case 3:
            return image.transpose(Image.Transpose.ROTATE_270)
        case _:
            return image


def _crop(image: Image.Image, box: Box) -> Image.Image:
    left, top = math.floor(box.left * image.width), math.floor(box.top * image.height)
    right = max(math.ceil(box.right * image.width), left + 1)
    bottom = max(math.ceil(box.bottom * image.height), top + 1)
    return image.crop((left, top, right, bottom))
