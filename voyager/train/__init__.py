"""Training pinned to a commit: a loader, a trainer, and runs that can be repeated."""
