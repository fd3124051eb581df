"""What every verb that asks an endpoint is told of it."""

from dataclasses import dataclass
from typing import Any

from dynocheck.serving import Endpoint, key_from


@dataclass(frozen=True, kw_only=True)
class Served:
    """What the command line says of an endpoint."""

    url: str | None = None
    model: str | None = None
    api_key_env: str | None = None
    api_key_file: str | None = None
    ca_file: str | None = None
    insecure: bool = False

    @property
    def has_key(self) -> bool:
        return bool(self.api_key_env or self.api_key_file)

    def endpoint(self, url: str, **more: Any) -> Endpoint:
        """What serves there, asked with the key and the trust that are given.

        :raises UsageError: one of them cannot be used.
        """
        key = key_from(self.api_key_env, self.api_key_file)
        return Endpoint(url, key=key, ca_file=self.ca_file, insecure=self.insecure, **more)
