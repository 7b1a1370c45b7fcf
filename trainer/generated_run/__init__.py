"""A run on generated documents: `docloop synth train`.

The stages are those of a training cycle (`trainer/stage.py`), without its service and its database:
what is learned from, chosen by and judged on is generated, and the new version is a folder.
"""
