"""The same work by heatgrid, its peers and the machine alone: what `heatgrid bench` and benchmarks/ run."""
