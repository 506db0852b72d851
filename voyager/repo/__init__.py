"""Store and schema joined into a typed dataset at a commit."""
