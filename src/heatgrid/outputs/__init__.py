"""Floor 4: grids, tables, pictures and the report, each complete or not at all."""
