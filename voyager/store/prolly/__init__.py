"""Sorted map of bounded, content-defined nodes; its shape is a pure function of its content.

Reads from the bottom up: `node` (bytes), `rows` (what may stand in a leaf), `boundary` (where a
level is cut), `builder` and `edit` (writing), `cursor` and `map` (reading), `diff`, `fresh`,
`three_way`, `check`.
"""

from voyager.store.prolly.builder import build
from voyager.store.prolly.check import check
from voyager.store.prolly.diff import diff
from voyager.store.prolly.edit import edit
from voyager.store.prolly.fresh import new_nodes
from voyager.store.prolly.map import Map
from voyager.store.prolly.three_way import Change3, three_way

__all__ = ["Change3", "Map", "build", "check", "diff", "edit", "new_nodes", "three_way"]
