"""How the default model learns to see: a vision tower from nothing, in three stages."""
