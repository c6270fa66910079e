"""Floor 0: the words everything else speaks. Loads neither pyarrow nor numba."""
