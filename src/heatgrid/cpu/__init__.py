"""Floor 1: bare Numba loops, one topic a file. No validation, no policy; everything releases the GIL."""
