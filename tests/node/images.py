"""Images without a registry: OCI archives of layers that are written here.

`DYNOCHECK` is the image that users build with image/Containerfile, whose last stage says as whom and how it
runs. Its base image cannot be had without a registry, so Debian's Python stands below the same files.
"""

import hashlib
import json
import platform
import shlex
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.command import ROOT
from tests.dynamo.build import VERSION
from tests.node import layers

REGISTRY = "dynocheck.test"
BUSYBOX = f"{REGISTRY}/busybox:1"
PAUSE = f"{REGISTRY}/pause:1"
DYNOCHECK = f"{REGISTRY}/dynocheck:1"
OTHER_ARCHITECTURE = f"{REGISTRY}/other-architecture:1"
FAULTY = f"{REGISTRY}/faulty:1"  # in the place of dynocheck's own: its `dynocheck` is layers.FAULTY
OPERATOR = f"nvcr.io/nvidia/ai-dynamo/kubernetes-operator:{VERSION}"  # by its name; it holds Python alone

_CONTAINERFILE = ROOT / "image" / "Containerfile"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Image:
    """A name, what the runtime is told of it, and its files as uncompressed tars."""

    name: str
    layers: tuple[Path, ...]
    config: dict[str, Any]


def archive(folder: Path) -> Path:
    """Write the images of the tests, all in one archive that containerd imports, and give its path."""
    path = folder / "images.tar"
    with tarfile.open(path, "w") as target:
        manifests = [_add(image, target) for image in _images(folder)]
        layers.put(target, "index.json", _json({"schemaVersion": 2, "manifests": manifests}))
        layers.put(target, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
    return path


def _images(folder: Path) -> Iterator[Image]:
    busybox = layers.write(folder / "busybox.tar", layers.fill_busybox)
    paths = {"Env": ["PATH=/bin"], "WorkingDir": "/"}
    yield Image(BUSYBOX, (busybox,), {**paths, "Cmd": ["sh"]})
    yield Image(PAUSE, (busybox,), {**paths, "Entrypoint": ["/bin/busybox", "sleep", "2147483647"]})
    own = layers.write(folder / "dynocheck.tar", layers.fill_dynocheck)
    yield Image(DYNOCHECK, (layers.python(), layers.dependencies(), own), _config(_CONTAINERFILE.read_text()))
    yield Image(OPERATOR, (layers.python(),), {"Env": [], "Entrypoint": ["python3"]})
    faulty = layers.write(folder / "faulty.tar", layers.fill_faulty)
    yield Image(FAULTY, (busybox, faulty), {**paths, "User": "65532:65532"})
    foreign = layers.write(folder / "other.tar", layers.fill_other_architecture)
    yield Image(OTHER_ARCHITECTURE, (foreign,), {"Entrypoint": ["/bin/program"]})


def _config(containerfile: str) -> dict[str, Any]:
    """What the last stage of a Containerfile says of the container; only the words that ours uses."""
    config: dict[str, Any] = {"Env": []}
    for line in containerfile.rpartition("\nFROM ")[2].splitlines()[1:]:
        word, _, rest = line.partition(" ")
        match word:
            case "ENV":
                config["Env"] += shlex.split(rest)
            case "USER":
                config["User"] = rest
            case "WORKDIR":
                config["WorkingDir"] = rest
            case "ENTRYPOINT":
                config["Entrypoint"] = json.loads(rest)
            case "COPY":
                assert rest == f"--from=build /{layers.HOME} /{layers.HOME}", rest
            case _:
                raise AssertionError(f"not known: {line}")
    return config


def _add(image: Image, target: tarfile.TarFile) -> dict[str, Any]:
    """Put an image's blobs into the archive, those that it has not yet, and give its entry of the index."""
    layers = [_blob(target, path) for path in image.layers]
    config = {
        "architecture": _ARCHITECTURES[platform.machine()],
        "os": "linux",
        "config": image.config,
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
    }
    described = _json_blob(target, config, "application/vnd.oci.image.config.v1+json")
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described,
        "layers": layers,
    }
    entry = _json_blob(target, manifest, manifest["mediaType"])
    return {**entry, "annotations": {"io.containerd.image.name": image.name}}


def _blob(target: tarfile.TarFile, path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        name = hashlib.file_digest(file, "sha256").hexdigest()
        if f"blobs/sha256/{name}" not in target.getnames():
            member = tarfile.TarInfo(f"blobs/sha256/{name}")
            member.size = path.stat().st_size
            file.seek(0)
            target.addfile(member, file)
    return {"mediaType": _LAYER, "digest": f"sha256:{name}", "size": path.stat().st_size}


def _json_blob(target: tarfile.TarFile, content: object, kind: object) -> dict[str, Any]:
    data = _json(content)
    name = hashlib.sha256(data).hexdigest()
    layers.put(target, f"blobs/sha256/{name}", data)
    return {"mediaType": kind, "digest": f"sha256:{name}", "size": len(data)}


def _json(content: object) -> bytes:
    return json.dumps(content).encode()
