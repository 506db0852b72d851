"""One command a file: parse, call one engine, show."""
