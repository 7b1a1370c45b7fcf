"""Truth for real pages from what several experts agree on, region by region.

    PDF -> text layer, OCR lines, a model's Markdown -> compared -> what agrees is kept

No expert is right by itself: a text layer may be of a bad scan, OCR misreads, a model invents.
What two or more of them say alike is kept, with how alike they said it (Infinity-Parser,
arXiv 2506.03197, builds Infinity-Doc's real pages so).
"""
