"""Floor 4: everything that can be read, as chunks of canonical columns."""
