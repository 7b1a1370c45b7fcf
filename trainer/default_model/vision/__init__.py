"""How the default model learns to see: `python -m trainer.default_model see`, in three stages.

    places    tower, connector             drawn pieces of pages     which character lies where,
                                                                     which token begins where
    reading   connector, adapter           drawn crops to tiles      the text, written out
    fields    adapter, connector, tower    receipts, travel          the answer, from lines and page
                                           documents, other pages

The shape is SmolVLM's (Idefics3). A page is cut into square tiles of 512 pixels; a vision tower of
7 million parameters turns each patch of 16 x 16 pixels into 256 numbers; the connector folds 2 x 2
patches into one token of the decoder, SmolLM2-135M: 256 tokens a tile (`tower.py`, `seeing.py`).
Tower and connector are 15 MB in bfloat16 and lie beside the decoder's adapter (`sight.py`).

A tower that has never seen a page learns little from answers about whole pages: a receipt's four
fields are some 60 tokens for a thousand patches. So it learns first from pages that are drawn here,
of which each character's place is known: every patch is asked which characters lie in it, 2,048
questions a piece, by a head that is thrown away. In the same steps the connector learns to say to
the decoder what the tower sees, in the embeddings that the decoder knows: where a token of the text
begins, the image token is to be like it (`tiles.py`, `places.py`). Then the decoder learns to write
it out: crops of a few lines first, which cost a tenth of a tile, then blocks, then tiles
(`reading.py`). Its adapter goes on from the one that ships, and in every step a question about
fields is rehearsed from lines alone, so that they need not be learned twice; the tower is held
still. Last come fields, as they are asked in serving, by the code that serves: a quarter of the
documents without their lines, a fifth without the page, the others with both (`field_rows.py`,
`fields.py`). Where lines are hidden the model has to read; where they are shown
it has to copy. Between them it writes out tiles of the same kinds of pages, which say far more
about an image token than fields do (`page_parts.py`). Pages that are neither receipt nor travel
document are answered with nothing.

The stages are sections of `curriculum.toml`. Each is stopped at any time and goes on from its
newest checkpoint; progress, figures on held-out pieces and pictures are in TensorBoard under the
work folder. What `places` comes to is kept in `models/sight`: where a work folder has no tower of
its own, `reading` begins from that one. What comes out of `fields` ships with
`python -m trainer.default_model install`, and not before: a model that answers worse than the one
that ships is no default model.
"""
