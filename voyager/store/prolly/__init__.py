"""Sorted map of bounded, content-defined nodes; its shape is a pure function of its content."""
