"""Support bundles: a compressed archive that holds a snapshot, and what people read beside it."""

import io
from collections.abc import Mapping
from pathlib import Path

SNAPSHOT = "snapshot.json"
_MAGIC = b"\x1f\x8b"


def is_bundle(content: bytes) -> bool:
    """Whether a file is an archive, and no snapshot by itself."""
    return content.startswith(_MAGIC)


def write_bundle(path: Path, files: Mapping[str, bytes]) -> None:
    """Write the files as a .tar.gz, the same byte for byte from the same files.

    :param files: by name, below a folder that is called as the archive; the snapshot must be among them.
    :raises OSError: the archive cannot be written.
    """
    import gzip  # with tarfile, a few milliseconds that other runs do not pay
    import tarfile

    folder = path.name.partition(".")[0] or "bundle"
    ordered = [SNAPSHOT, *sorted(files.keys() - {SNAPSHOT})]  # what is read again is found at once
    with (
        path.open("wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed,
        tarfile.open(mode="w", fileobj=packed, format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in ordered:
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(files[name])
            archive.addfile(member, io.BytesIO(files[name]))


def read_snapshot(content: bytes, most: int) -> bytes:
    """The snapshot in an archive. Nothing is unpacked to the disk.

    :param most: bytes that it may have, unpacked.
    :raises ValueError: there is none, it is larger, or this is no archive.
    """
    import tarfile
    import zlib

    try:
        # No more is unpacked than a snapshot and its header need, whatever the archive holds.
        unpacked = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(content, most + tarfile.RECORDSIZE)
        with tarfile.open(mode="r:", fileobj=io.BytesIO(unpacked)) as archive:
            member = archive.next()
            if member is None or not member.isfile() or member.name.rpartition("/")[2] != SNAPSHOT:
                raise ValueError(f"an archive whose first file is not {SNAPSHOT}")
            stream = archive.extractfile(member)
            snapshot = stream.read() if stream is not None else b""
            if len(snapshot) != member.size:
                raise ValueError(f"{SNAPSHOT} in it is not complete, or larger than {most >> 20} MiB")
            return snapshot
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise ValueError(f"not an archive of dynocheck: {error}") from None
