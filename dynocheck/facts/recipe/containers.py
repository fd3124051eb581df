"""The containers of a recipe: what they start, their variables, mounts and configuration files."""

import posixpath
import re

import msgspec

from dynocheck.facts.recipe.documents import Problem, Value

_FLAG = re.compile(r"--?[a-zA-Z][^\n]*")


class Word(msgspec.Struct, frozen=True):
    """A word of a command line; `text` is None if it is known only at run time."""

    text: str | None
    line: int
    column: int


class Launch(msgspec.Struct, frozen=True):
    """A Python module that a container starts, such as `dynamo.vllm`, with its arguments.

    `env` are the variables that its script sets for it, which override those of the container.
    """

    module: str
    words: tuple[Word, ...]
    line: int
    column: int
    env: tuple["EnvVar", ...] = ()


class EnvVar(msgspec.Struct, frozen=True):
    """An environment variable; `value` is None if it is from a Secret, a field or outside the recipe.

    `origin` is the file and line of a ConfigMap of the recipe that has the value, if one has.
    """

    name: str
    value: str | None
    line: int
    column: int
    origin: tuple[str, int] | None = None


class Mount(msgspec.Struct, frozen=True):
    """A volume mount; `source` is claim, configmap, secret, empty or other, or hub if the folder is filled
    with a model of the hub, whose id is the name, before the container starts.

    `sub_path` is the mounted folder of the volume, empty for all of it.
    """

    path: str
    source: str
    name: str
    line: int
    column: int
    sub_path: str = ""
    read_only: bool = False


class ConfigFile(msgspec.Struct, frozen=True):
    """A file in a container that is from a ConfigMap of the recipe: its path, and its contents as YAML.

    The positions in `root` refer to the recipe's `file`. It is None for a file that is empty, or that has a
    `problem`, its first error.
    """

    path: str
    file: str
    root: Value | None
    problem: Problem | None = None


class TritonModel(msgspec.Struct, frozen=True):
    """The config.pbtxt of a model of Triton: its path, in a container or as the user would write it.

    In `root`, what may be repeated is a sequence. It is empty if there is a `problem`, the first error.
    `template`: parts of it are filled in later.
    """

    path: str
    file: str
    root: Value
    problem: Problem | None = None
    template: bool = False

    @property
    def folder(self) -> str:
        """The name of the folder that it is in, which is to be the model's."""
        return posixpath.basename(posixpath.dirname(self.path))

    @property
    def name(self) -> str:
        return self.root.get_text("name") or self.folder


class Container(msgspec.Struct, frozen=True):
    """A container of a pod. Without an image, `image_line` and `image_column` are the container's own
    position. `commands` are the words of each command that it runs, as `launches` are those of engines;
    `unclosed` is the line of its script with a quote that does not end.
    `runtime` is the release of Dynamo that its component claims to run, in `runtimeVersionOverride`.
    `folder` is its workingDir, empty if that is the image's.
    """

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
    commands: tuple[tuple[Word, ...], ...] = ()
    unclosed: Word | None = None
    triton_models: tuple[TritonModel, ...] = ()
    runtime: str = ""
    folder: str = ""

    def find_variable(self, name: str, launch: Launch | None = None) -> EnvVar | None:
        """A variable that the script sets for this launch, else one of the container."""
        variables = (*(launch.env if launch is not None else ()), *self.env)
        return next((variable for variable in variables if variable.name == name), None)

    def index_variables(self, launch: Launch) -> dict[str, EnvVar]:
        """The variables that a launch sees by their names, of which the last of a name counts."""
        return {variable.name: variable for variable in (*self.env, *launch.env)}

    @property
    def is_cut(self) -> bool:
        """Whether its script runs a flag as a command: the line before it does not end with a backslash."""
        return any(_FLAG.fullmatch(words[0].text or "") for words in self.commands[1:])

    @property
    def moves(self) -> bool:
        """Whether its script goes to another folder than that in which it starts."""
        return any((words[0].text or "") in ("cd", "pushd") for words in self.commands)

    def find_mount(self, path: str) -> Mount | None:
        """The mount that contains an absolute path; None if the path is in the image."""
        path = posixpath.normpath(path)
        above = [m for m in self.mounts if m.path and f"{path}/".startswith(f"{m.path.rstrip('/')}/")]
        return max(above, key=lambda m: len(m.path.rstrip("/")), default=None)

    def resolve_on_claim(self, path: str) -> str | None:
        """A path as `claim:path`, relative to the claim that it is on; None if it is on none."""
        mount = self.find_mount(path)
        if mount is None or mount.source != "claim":
            return None
        inside = posixpath.join(mount.sub_path, posixpath.relpath(posixpath.normpath(path), mount.path))
        return f"{mount.name}:{posixpath.normpath(inside)}"
