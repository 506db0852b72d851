"""Search in a version: by vectors and by words."""
