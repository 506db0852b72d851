"""Annotation formats in and out: one file each, an engine for imports and one for exports.

A format is a module with a `FORMAT` (see `base.Format`) and a line in `registry.FORMATS`. It turns
files into *items*, one an image, and samples into files; everything else (images, keys, ids,
pairing with what is there, reports, staging) is done once, in `importing` and `exporting`.
"""
