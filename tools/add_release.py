"""Takes up a release of Dynamo in every table that lists releases.

    python -m tools.add_release RELEASE --source URL [--package VERSION --engine NAME=VERSION ...]

Its package on PyPI names its engines, and its flags are read from there. For a release without one, --package
is the nearest version that is published, and --engine what the release's documentation states of vllm, sglang
and tensorrt-llm. CUDA, driver and architectures of the images are those of the release before: compare them
with the documentation at --source. Grove, KAI Scheduler and LeaderWorkerSet of a new minor are added by hand,
to dynocheck/data/orchestrators.json.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from tools import write_flags

IMAGES = Path(__file__).parent.parent / "dynocheck" / "data" / "dynamo_images.json"
_ENGINES = {
    "vllm-runtime": ("vLLM", "vllm"),
    "sglang-runtime": ("SGLang", "sglang"),
    "tensorrtllm-runtime": ("TensorRT-LLM", "tensorrt-llm"),
}


def main() -> None:
    """Adds the release, and writes the tables anew."""
    parser = argparse.ArgumentParser(prog="python -m tools.add_release")
    parser.add_argument("release")
    parser.add_argument("--source", required=True)
    parser.add_argument("--package")
    parser.add_argument("--engine", action="append", default=[])
    given = parser.parse_args()
    row: dict[str, Any] = {"package": given.package or given.release}
    if given.engine:
        row |= {"engines": dict(each.split("=", 1) for each in given.engine), "source": given.source}
    releases = json.loads(write_flags.RELEASES.read_text()) | {given.release: row}
    write_rows(write_flags.RELEASES, releases)
    write_flags.main()
    pins = json.loads(write_flags.TARGET.read_text())["engines"][given.release]
    images = json.loads(IMAGES.read_text())
    added = make_images(images, given.release, pins, given.source)
    write_rows(IMAGES, added + [image for image in images if image["release"] != given.release])
    print("Compare with", given.source)
    print(*(json.dumps(image) for image in added), sep="\n")


def make_images(
    images: list[dict[str, Any]], release: str, pins: dict[str, str], source: str
) -> list[dict[str, Any]]:
    """The images of a release, like those of the newest one before it, with its own engines."""
    found = []
    for name, (title, engine) in _ENGINES.items():
        before = next(
            image
            for image in images
            if image["image"] == name and image["tag"] == image["release"] != release
        )
        own = {"tag": release, "release": release, "engine": f"{title} {pins[engine]}", "source": source}
        found.append(before | own)
    return found


def write_rows(path: Path, rows: dict[str, Any] | list[Any]) -> None:
    """Writes JSON with a row on each line."""
    if isinstance(rows, dict):
        lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in rows.items()]
    else:
        lines = [f"  {json.dumps(row)}" for row in rows]
    first, last = "{}" if isinstance(rows, dict) else "[]"
    path.write_text(f"{first}\n" + ",\n".join(lines) + f"\n{last}\n")


if __name__ == "__main__":
    main()
