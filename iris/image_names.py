"""Names of images, and the names that one has in the registries of several regions.

Decides what `-t` and `--region` mean. Never asks an engine or a registry.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from iris.problems import shown
from iris.units import BadQuantity

REGION: Final = "{region}"
"""Stands in a name for each region in turn."""
GOOGLE: Final = "-docker.pkg.dev"
"""What follows the location in the address of a registry of Google's Artifact Registry."""

_HOST: Final = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?)(?::[0-9]{1,5})?"
_PART: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME: Final = re.compile(
    rf"(?:(?P<host>{_HOST})/)?(?P<path>{_PART}(?:/{_PART})*)(?::(?P<tag>[\w][\w.-]{{0,127}}))?",
    re.ASCII,
)
_LONGEST: Final = 255
"""Characters of a repository: no engine takes more."""
_DIGEST: Final = re.compile(r"(?P<name>[^@]+)@sha256:[0-9a-f]{64}")
_REGION: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_ZONE: Final = re.compile(r"([a-z]+-[a-z]+[0-9]+)-[a-z]")
_RIGHT: Final = "write NAME:TAG or REGISTRY/PATH/NAME:TAG, in small letters"


@dataclass(frozen=True, slots=True)
class ImageName:
    """Where an image is: `HOST/PATH:TAG`."""

    host: str | None  # None: of no registry, only on this machine
    path: str
    tag: str

    def __str__(self) -> str:
        """As every command of Docker spells it."""
        return f"{self.repository}:{self.tag}"

    @property
    def repository(self) -> str:
        """It without the tag."""
        return self.path if self.host is None else f"{self.host}/{self.path}"


@dataclass(frozen=True, slots=True)
class Place:
    """One name under which an image is pushed, and for the sake of which region."""

    region: str | None  # None: no region was named
    name: ImageName


def image_name(text: str) -> ImageName:
    """The image that a text names; without a tag it is `latest`, as everywhere.

    Raises:
        BadQuantity: it names none.
    """
    found = _NAME.fullmatch(text)
    if found is None:
        reason = "a digest is no name for what is yet to be built" if "@" in text else ""
        raise BadQuantity(f"{shown(text)} is no name of an image", reason or _RIGHT)
    host, path = found["host"], found["path"]
    if host is not None and not ("." in host or ":" in host or host == "localhost"):
        if not re.fullmatch(_PART, host):
            raise BadQuantity(f"{shown(text)} is no name of an image", _RIGHT)
        host, path = None, f"{host}/{path}"  # As Docker reads it: `a/b` is on no registry of ours.
    name = ImageName(host, path, found["tag"] or "latest")
    if len(name.repository) > _LONGEST:
        remedy = f"write {_LONGEST} at most before the tag"
        raise BadQuantity(f"{shown(text)} has {len(name.repository)} characters", remedy)
    return name


def checked_reference(text: str) -> str:
    """A text that names an image which is there already, by a tag, a digest, both or neither.

    Raises:
        BadQuantity: it names none.
    """
    digested = _DIGEST.fullmatch(text)
    try:
        image_name(text if digested is None else digested["name"])
    except BadQuantity as error:
        raise BadQuantity(f"{shown(text)} is no name of an image", _RIGHT) from error
    return text


def places(text: str, regions: Sequence[str]) -> tuple[Place, ...]:
    """Where an image of this name goes: one place for each region, or the one that it names.

    With regions, `{region}` in the name stands for each of them; without it the location at the
    front of an Artifact Registry's address does: `us-central1-docker.pkg.dev/P/R/NAME`.

    Raises:
        BadQuantity: no image, no registry, no region, or nothing in the name that a region changes.
    """
    if not regions:
        name = image_name(text)
        if name.host is None:
            raise BadQuantity(f"{shown(text)} names no registry to push to", _example(name))
        return (Place(None, name),)
    spelled = text if REGION in text else _by_location(text)
    return tuple(
        Place(region, image_name(spelled.replace(REGION, checked_region(region))))
        for region in dict.fromkeys(regions)
    )


def local_name(text: str, regions: Sequence[str]) -> ImageName:
    """What the image is called on this machine: its name, or the one of its first region."""
    return image_name(text) if not regions else places(text, regions)[0].name


def checked_region(text: str) -> str:
    """A region, or a location of several (`us`), as registries have them in their addresses.

    Raises:
        BadQuantity: it is none.
    """
    zone = _ZONE.fullmatch(text)
    if zone is not None:
        raise BadQuantity(f"{shown(text)} is a zone", f"its region is {zone[1]}")
    if not _REGION.fullmatch(text):
        raise BadQuantity(f"{shown(text)} is no region", "write it as us-central1")
    return text


def _by_location(text: str) -> str:
    name = image_name(text)
    if name.host is None or not name.host.endswith(GOOGLE):
        remedy = f"put {REGION} where the region belongs, or {_example(name)}"
        raise BadQuantity(f"{shown(text)} is the same image in every region", remedy)
    return f"{REGION}{GOOGLE}/{name.path}:{name.tag}"


def _example(name: ImageName) -> str:
    last = name.path.rpartition("/")[2]
    return f"write us-central1{GOOGLE}/PROJECT/REPOSITORY/{last}:{name.tag}"
