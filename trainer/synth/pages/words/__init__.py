"""Words of the generated pages: one TOML file a language, found by its name."""
