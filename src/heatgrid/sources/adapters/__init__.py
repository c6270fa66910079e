"""Formats that trackers and exports write, as canonical columns: one small module each."""
