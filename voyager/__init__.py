"""Git for vision datasets."""
