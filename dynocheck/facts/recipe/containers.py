"""What containers run, with which variables, and what is mounted in them."""

import posixpath

import msgspec

from dynocheck.facts.recipe.documents import Value


class Word(msgspec.Struct, frozen=True):
    """A word of a command line; `text` is None when only the running container could know it."""

    text: str | None
    line: int
    column: int


class Launch(msgspec.Struct, frozen=True):
    """A Python module started by a container, such as `dynamo.vllm`, with the words that follow it.

    `env` are the variables that the script around it sets for it, over those of its container.
    """

    module: str
    words: tuple[Word, ...]
    line: int
    column: int
    env: tuple["EnvVar", ...] = ()


class EnvVar(msgspec.Struct, frozen=True):
    """An environment variable; `value` is None when it comes from a Secret, a field or outside the recipe."""

    name: str
    value: str | None
    line: int
    column: int


class Mount(msgspec.Struct, frozen=True):
    """A volume in a container: `source` is claim, configmap, secret, empty or other.

    `sub_path` is the folder of the volume that is mounted, empty for the whole.
    """

    path: str
    source: str
    name: str
    line: int
    column: int
    sub_path: str = ""
    read_only: bool = False


class ConfigFile(msgspec.Struct, frozen=True):
    """A file that a ConfigMap of the recipe puts into a container: its path there and what it says as YAML.

    The positions in `root` are those in the recipe's own `file`.
    """

    path: str
    file: str
    root: Value | None


class Container(msgspec.Struct, frozen=True):
    """A container of a pod. `image_line` and `image_column` are its own where it names no image."""

    name: str
    image: str | None
    env: tuple[EnvVar, ...]
    mounts: tuple[Mount, ...]
    launches: tuple[Launch, ...]
    files: tuple[ConfigFile, ...]
    line: int
    column: int
    image_line: int = 1
    image_column: int = 1

    def find_variable(self, name: str) -> EnvVar | None:
        return next((var for var in self.env if var.name == name), None)

    def find_mount(self, path: str) -> Mount | None:
        """The volume that an absolute path lies on, or None when it lies in the image."""
        path = posixpath.normpath(path)
        above = [m for m in self.mounts if m.path and f"{path}/".startswith(f"{m.path.rstrip('/')}/")]
        return max(above, key=lambda m: len(m.path.rstrip("/")), default=None)

    def resolve_on_claim(self, path: str) -> str | None:
        """A path relative to the claim it lies on, as `claim:path`; None when it is on none."""
        mount = self.find_mount(path)
        if mount is None or mount.source != "claim":
            return None
        inside = posixpath.join(mount.sub_path, posixpath.relpath(posixpath.normpath(path), mount.path))
        return f"{mount.name}:{posixpath.normpath(inside)}"
