"""PICTURES: samples and their changes drawn, as pixels and as one self-contained page.

Takes values of the schema and bytes of images, returns values; knows nothing of repositories.
Commands import it where they draw, since it loads Pillow and numpy.
"""

from __future__ import annotations

from voyager.derived.decode import MOST_PIXELS
from voyager.pictures.crops import Side, before_after, crop, data_uri, picture_of, window_around
from voyager.pictures.frame import Frame, ReadBlob, blank, frame_of, read_frame
from voyager.pictures.overlay import Mark, Pen, draw
from voyager.pictures.page import (
    Card,
    Page,
    Picture,
    Row,
    iter_html,
    render,
    render_body,
    render_cards,
    thumbnail,
)
from voyager.pictures.palette import PALETTE, Colour, colour_of, colours_of
from voyager.pictures.regions import (
    Legend,
    region_marks,
    sample_marks,
    sample_notes,
    sample_picture,
    whole,
)
from voyager.pictures.view import Bounds, View

__all__ = [
    "MOST_PIXELS",
    "PALETTE",
    "Bounds",
    "Card",
    "Colour",
    "Frame",
    "Legend",
    "Mark",
    "Page",
    "Pen",
    "Picture",
    "ReadBlob",
    "Row",
    "Side",
    "View",
    "before_after",
    "blank",
    "colour_of",
    "colours_of",
    "crop",
    "data_uri",
    "draw",
    "frame_of",
    "iter_html",
    "picture_of",
    "read_frame",
    "region_marks",
    "render",
    "render_body",
    "render_cards",
    "sample_marks",
    "sample_notes",
    "sample_picture",
    "thumbnail",
    "whole",
    "window_around",
]
