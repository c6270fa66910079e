"""One file a metric family: what it needs, how a block is folded, how a session is closed, its finish."""
