"""Finds the proxy for a server: the kubeconfig's, or the environment's by Go's rules."""

import os
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit


def find_proxy(url: str, configured: str) -> str | None:
    """The URL of the proxy for this URL, if there is one.

    :param configured: the kubeconfig's proxy-url, which takes precedence over the environment's.
    """
    if configured:
        return configured
    name = f"{urlsplit(url).scheme}_proxy"
    proxy = os.environ.get(name.upper()) or os.environ.get(name)
    if not proxy or _is_direct(url, os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_direct(url: str, exempt: str) -> bool:
    parts = urlsplit(url)
    host, port = parts.hostname or "", str(parts.port or {"http": 80, "https": 443}[parts.scheme])
    if host == "localhost" or _is_inside(host, "127.0.0.0/8") or _is_inside(host, "::1/128"):
        return True
    return any(_is_exempt(entry.strip().lower(), host, port) for entry in exempt.split(","))


def _is_exempt(entry: str, host: str, port: str) -> bool:
    if entry == "*":
        return True
    if _is_inside(host, entry):
        return True
    name, _, only = entry.partition(":")
    if only and only != port:
        return False
    name = name.removeprefix("*")
    return bool(name) and (host == name or host.endswith(f".{name.removeprefix('.')}"))


def _is_inside(host: str, network: str) -> bool:
    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False
