"""The exceptions that end a run or one of its steps.

    Exception
    ├── UsageError                   the user's input cannot be used; exit code 2
    │   ├── RegistryError            a check or probe is written wrongly, or a pattern selects none
    │   ├── NotARecipe               (recipe) a path holds nothing to judge
    │   └── GitError                 (suppression) git refuses
    ├── PluginError                  a custom check or probe returns what it must not; outcome error
    ├── Skip                         (core.outcomes) a check has nothing to judge; outcome skip
    ├── Unavailable                  (facts) a probe cannot get its fact; outcome unknown
    │   └── KubeError                (kube) the API server cannot be used
    │       ├── CredentialsFailed, Unreachable, TimedOut, InvalidResponse
    │       └── StatusError          it answered with an error status
    │           └── Unauthorized, Forbidden, NotFound
    ├── EndpointError                (serving) an inference endpoint fails or answers wrongly
    └── ParserUnavailable            (engines) the engine's own parser is not installed or not usable

All others are private to one module or caught in the room that raises them.
"""


class UsageError(Exception):
    """The user's input cannot be used; the text names the input, the reason and the remedy. Exit code 2."""


class RegistryError(UsageError):
    """A check or probe is written wrongly, or a pattern selects none."""


class PluginError(Exception):
    """A custom check or probe returns what it must not; the text says what and where."""
