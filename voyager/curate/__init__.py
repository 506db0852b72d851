"""Looking after a dataset: what is in it twice."""
