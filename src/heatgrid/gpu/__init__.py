"""Floor 1, the device side: finds, compiles and launches kernels/*.cu."""
