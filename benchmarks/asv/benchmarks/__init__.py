"""Time and memory of what users call, for asv: how they change from commit to commit."""
