"""Pages in training are as large as they are in serving.

Serving tells the processor with each request how large to make a page (`extraction/page_view.py`).
TRL calls the processor with a batch and no word about sizes, so here it goes by the page that it
gets: rows carry pages of the size that serving would send.
"""

import math
from typing import Any

from transformers.image_utils import PILImageResampling, SizeDict
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil


class OwnSizeImageProcessor(Idefics3ImageProcessorPil):  # type: ignore[misc]
    """Scales a page to the next whole tile above its longer side, instead of to one fixed side."""

    def resize(
        self,
        image: Any,
        size: SizeDict,
        resample: PILImageResampling = PILImageResampling.LANCZOS,
        **kwargs: Any,
    ) -> Any:
        """As the parent's; a size that is given by its longest edge is the page's own."""
        if size.longest_edge:
            tile = self.max_image_size["longest_edge"]
            side = math.ceil(max(image.shape[-2:]) / tile) * tile
            size = SizeDict(longest_edge=side)
        return super().resize(image, size=size, resample=resample, **kwargs)


def by_page_size(processor: Any) -> Any:
    """The processor of a model that sees, going by the size of each page. Changes it in place."""
    processor.image_processor = OwnSizeImageProcessor.from_dict(processor.image_processor.to_dict())
    return processor
