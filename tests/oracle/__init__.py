"""Slow, obvious re-tellings of the metric definitions, to test the engine against; nothing of the package is used."""
