"""Floor 2: results as data: named integer arrays that merge, save and load."""
