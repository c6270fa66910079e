"""Floor 4: a realistic event dump, seeded and of any size, shared by demo, tests and benchmarks."""
