"""Real pages rebuilt as HTML by a vision model, in olmOCR 2's three steps (arXiv 2510.19817).

    page -> layout analysis -> HTML -> rendered -> refined against the page -> printed -> truth

What is trained on is the rendering of the HTML, so that the truth is exact whatever the model got
wrong about the page that it was shown.
"""
