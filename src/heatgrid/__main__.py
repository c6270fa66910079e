"""`python -m heatgrid` is `heatgrid`."""

from __future__ import annotations

import sys

from heatgrid.cli import program

if __name__ == "__main__":
    sys.exit(program())
