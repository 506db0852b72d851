"""Remotes: one mutable object moved by compare-and-swap, everything else immutable."""
