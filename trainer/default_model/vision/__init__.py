"""How the default model learns to see: `python -m trainer.default_model see`, in three stages.

    places    tower, connector    windows of pages that our    which character stands in which
                                  OCR read, and drawn ones     cell of a page
    bands     adapter             bands of a few rows of       their text
                                  cells
    fields    adapter             receipts, travel documents,  the answer, from lines or from the
                                  other pages; bands           page alone

The shape is SmolVLM's (Idefics3). The written part of a page is stretched to a square of 48 x 48
cells (`extraction/written.py`, `grid.py`); a vision tower of 8 million parameters turns each cell
of 32 x 32 pixels into 256 numbers, and the connector these into one token of the decoder,
SmolLM2-135M (`tower.py`, `seeing.py`). Tower and connector are 16 MB in bfloat16 and lie beside
the decoder's adapter (`sight.py`).

A tower that has never seen a page learns little from answers about whole pages: a receipt's four
fields are some 60 tokens for two thousand cells. So it is asked for each cell's character, of pages
that are drawn here and know it, and of real and generated documents, where our OCR saw the
characters (`read_characters.py`), within a cell of its place (`alignment.py`). It answers in the
decoder's own words: an image token is to be like the embedding of its character's token
(`places.py`). A page is then a text to the decoder, spelled out and laid out as it is printed, with
gaps and misreadings, and it has only to learn to read that: from bands of pages that it writes out
(`bands.py`), then from fields, asked as in serving (`field_rows.py`, `answers.py`). Its adapter
goes on from the one that reads lines, which it rehearses in every step; the tower is held still.

What is read from a page is answered character by character, in the tokens that the page has
(`questions.py`).

Beside lines no page is shown: they say the same in a tenth of the tokens, and a receipt that is
read from both would take twice as long.

The stages are sections of `curriculum.toml`. Each is stopped at any time and goes on from its
newest checkpoint; progress, figures on held-out pages and pictures are in TensorBoard under the
work folder. Where a work folder has no tower of its own, the later stages take the one that
ships, so they train the shipped model further. What comes out of `fields` is blended with the
adapter that ships (`reader.py`), and ships with
`python -m trainer.default_model install`, and not before: a model that answers worse than the one
that ships is no default model.
"""
