"""BYTES: content-addressed objects, packs, the journal, refs. Knows nothing of images."""
