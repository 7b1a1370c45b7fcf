"""How the default model is made: `python -m trainer.default_model` (also `make model`)."""
