"""Pictures of text with the place of every character, to train a reader on."""
