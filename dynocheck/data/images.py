"""Which CUDA is in which image of Dynamo, and which driver that needs."""

import re
from functools import cache
from importlib.resources import files

import msgspec

from dynocheck.core.spelling import find_slip

_REGISTRY = "nvcr.io/nvidia/ai-dynamo"  # where NVIDIA publishes the images of releases
# As in the grammar of github.com/distribution/reference, without its limits of length.
_PATH = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?:[A-Za-z0-9.-]+(?::\d+)?/|\[[0-9a-fA-F:]+\](?::\d+)?/)?{_PATH}(?:/{_PATH})*"
    r"(?::\w[\w.-]*)?(?:@[A-Za-z][A-Za-z0-9.+_-]*:[0-9a-fA-F]{32,})?"
)
_WITH_V = re.compile(r"v\d+\.\d+\.\d")
_POST = re.compile(r"^([0-9]+\.[0-9]+\.[0-9]+)\.post[0-9]+")


class DynamoImage(msgspec.Struct, frozen=True):
    """An image of a release: its engine, its CUDA and the driver branch that its release asks for.

    Engine, CUDA and driver are empty and 0 for an image that runs on CPUs; `architectures` is empty where it
    is not known for sure. `enterprise` tells whether the image of that name, with -enterprise, is the same.
    """

    image: str
    tag: str
    release: str
    engine: str
    cuda: str
    driver: int
    architectures: tuple[str, ...]
    source: str
    note: str = ""
    enterprise: bool = True

    def describes(self, reference: "ImageReference") -> bool:
        """Whether an image of this name, whatever its release, has what this row tells."""
        return self.image == reference.dynamo_name and (self.enterprise or not reference.is_enterprise)


class CudaToolkit(msgspec.Struct, frozen=True):
    """A CUDA toolkit: how it runs on drivers older than its own.

    From the branch `minor` on CUDA's minor version compatibility holds, with limits; on the branches
    `forward` the forward compatibility package of NVIDIA's images may, on data-center GPUs.
    """

    cuda: str
    minor: int
    forward: tuple[int, ...]
    source: str


class ImageReference(msgspec.Struct, frozen=True):
    """An image as a manifest names it."""

    name: str
    tag: str

    @property
    def dynamo_name(self) -> str:
        """Its short name when it is one of Dynamo's images, in whatever registry; else empty."""
        short = self.name.rpartition("/")[2].removesuffix("-enterprise")
        return short if short in _image_names() else ""

    @property
    def is_enterprise(self) -> bool:
        """Whether it is one of those for Dynamo Enterprise."""
        return self.name.endswith("-enterprise") or self.tag.endswith("-enterprise")


def parse_image(image: str) -> ImageReference:
    """The name and the tag of an image; its digest is left out."""
    name = image.partition("@")[0]
    head, colon, tag = name.rpartition(":")
    return ImageReference(head, tag) if colon and "/" not in tag else ImageReference(name, "")


def is_valid_reference(image: str) -> bool:
    """Whether a container runtime can read an image's name: capitals are for hosts and tags alone."""
    return _REFERENCE.fullmatch(image) is not None


def find_image(reference: ImageReference) -> DynamoImage | None:
    """The row of an image, or None when the table does not have it.

    A post release of a backend has the CUDA of the release that it patches, and most enterprise images are
    the same as those without that name.
    """
    tag = _POST.sub(r"\1", reference.tag.removesuffix("-enterprise"))
    row = _images().get((reference.dynamo_name, tag))
    return row if row is not None and row.describes(reference) else None


def correct_image(image: str) -> str | None:
    """The published image that a reference must mean; None if it is right, or not one of NVIDIA's.

    A reference is wrong if its name is misspelt, or a release's tag has a `v` before it.
    """
    written = parse_image(image)
    name, tag = find_slip(written.name, _published()) or written.name, written.tag
    if name not in _published() or "@" in image:
        return None
    if _WITH_V.match(tag):
        tag = tag[1:]
    return None if (name, tag) == (written.name, written.tag) else f"{name}:{tag}".removesuffix(":")


def cuda_toolkit(version: str) -> CudaToolkit | None:
    """The row of a CUDA version, or None when the table does not have it."""
    return next((row for row in _toolkits() if row.cuda == version), None)


def engine_images() -> tuple[DynamoImage, ...]:
    """Every image with an engine."""
    return tuple(row for row in _images().values() if row.engine)


def find_newest_release(image: str | None = None, branch: int | None = None) -> str | None:
    """The newest release that has such an image, for a driver of this branch where one is given."""
    able = {
        row.release
        for row in engine_images()
        if image in (None, row.image) and (branch is None or row.driver <= branch)
    }
    return max(able, key=_parse_release, default=None)


def _parse_release(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split("."))


@cache
def _image_names() -> frozenset[str]:
    return frozenset(image for image, _ in _images())


@cache
def _published() -> frozenset[str]:
    return frozenset(f"{_REGISTRY}/{name}" for name in _image_names())


@cache
def _images() -> dict[tuple[str, str], DynamoImage]:
    rows = msgspec.json.decode(
        (files(__package__) / "dynamo_images.json").read_bytes(), type=list[DynamoImage]
    )
    return {(row.image, row.tag): row for row in rows}


@cache
def _toolkits() -> tuple[CudaToolkit, ...]:
    return msgspec.json.decode((files(__package__) / "cuda.json").read_bytes(), type=tuple[CudaToolkit, ...])
