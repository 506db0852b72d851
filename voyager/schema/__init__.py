"""MEANING: samples, regions, geometries, labels as pure values. Knows nothing of disks."""
