"""Label Studio's labeling configuration: the controls that ask, and their classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from voyager.errors import InvalidDataError
from voyager.formats.xml_text import quoteattr

NAME = "label_config.xml"


@dataclass(frozen=True, slots=True)
class Control:
    """One control: `kind` is its element in small letters; classes with what is said of them."""

    name: str
    kind: str
    classes: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    many: bool = False

    @property
    def draws(self) -> bool:
        """Whether it gives shapes their class."""
        return self.kind.endswith("labels")

    @property
    def asks_yes_or_no(self) -> bool:
        """Whether its choices are true and false."""
        return self.kind == "choices" and self.classes.keys() == {"true", "false"}


@dataclass(slots=True)
class Config:
    """The controls by name, and the field of a task that is its image."""

    controls: dict[str, Control] = field(default_factory=dict)
    image: str | None = None

    @property
    def points(self) -> list[str]:
        """The names of the points of a pose, by their index."""
        found: list[tuple[int, str]] = []
        for control in self.controls.values():
            for name, said in control.classes.items() if control.kind == "keypointlabels" else ():
                index = str(said.get("model_index", ""))
                if index.isdecimal() and len(index) < 6:
                    found.append((int(index), name))
        return [name for _, name in sorted(found)]


def read_config(path: Path, shown: str) -> Config:
    """The configuration in a file; InvalidDataError for what is not XML."""
    from defusedxml import ElementTree

    try:
        root = ElementTree.parse(path, forbid_dtd=True).getroot()
    except ParseError as error:
        line = error.position[0]
        raise InvalidDataError(f"not XML: {error.msg}", path=shown, line=line) from None
    except (ValueError, LookupError) as error:
        raise InvalidDataError(f"XML that is not read: {error}", path=shown) from None
    config = Config()
    for element in root.iter():
        name, value = element.get("name"), element.get("value", "")
        if element.tag == "Image" and value.startswith("$") and config.image is None:
            config.image = value[1:]
        elif name and element.get("toName") is not None:
            config.controls[name] = _control(element, name)
    return config


def _control(element: Element, name: str) -> Control:
    classes: dict[str, dict[str, Any]] = {}
    for child in element.iter():
        word = child.get("alias") or child.get("value")
        if child.tag in ("Label", "Choice") and word:
            said = {
                key: text for key, text in child.attrib.items() if key not in ("value", "alias")
            }
            classes[word] = said
    return Control(
        name=name,
        kind=str(element.tag).lower(),
        classes=classes,
        many=element.get("choice", "").startswith("multiple"),
    )


# -- writing -------------------------------------------------------------------------------------


@dataclass(slots=True)
class Written:
    """A control to be written: its element, name, attributes and classes."""

    element: str
    name: str
    fields: dict[str, str] = field(default_factory=dict)
    classes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Its XML."""
        fields = {"name": self.name, "toName": "image", **self.fields}
        head = f"  <{self.element}{_fields(fields)}"
        if not self.classes:
            return [head + "/>"]
        child = "Choice" if self.element == "Choices" else "Label"
        inner = [
            f"    <{child}{_fields({'value': name, **said})}/>"
            for name, said in self.classes.items()
        ]
        return [head + ">", *inner, f"  </{self.element}>"]


def config_text(controls: list[Written]) -> str:
    """A configuration with one image and these controls."""
    image = '  <Image name="image" value="$image" zoom="true"/>'
    lines = [line for control in controls for line in control.lines()]
    return "\n".join(["<View>", image, *lines, "</View>", ""])


def _fields(fields: Mapping[str, Any]) -> str:
    return "".join(f" {name}={quoteattr(str(value))}" for name, value in fields.items())
