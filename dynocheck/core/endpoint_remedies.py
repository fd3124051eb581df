"""Suggests what to do about a request that an endpoint did not answer, by what went wrong."""

_BY_STATUS = {
    401: "give a key that the server accepts: --api-key-env NAME or --api-key-file FILE",
    403: "give a key with access: --api-key-env NAME or --api-key-file FILE",
    404: "give the address of an OpenAI-compatible server: --url http://HOST:PORT",
    429: "wait, or reduce the load on the server",
}
_LOGS = "read the log of the server: why does it answer so?"
_HTTP = "give an http URL if the server has no TLS: --url http://HOST:PORT"
# By a part of the message, the first that fits.
_BY_MESSAGE = {
    ("tls", "has expired"): "renew the server's certificate; --insecure skips its verification",
    ("tls", "not yet valid"): "date   # is this machine's clock right?",
    ("tls", "not valid for"): "give a host that the certificate names: --url https://NAME:PORT",
    ("tls", "certificate"): "trust its certificate authority: --ca-file FILE",
    ("tls", ""): _HTTP,
    ("timeout", "TLS handshake"): _HTTP,
    ("timeout", "no connection"): "is it running, and does no firewall or network policy stand in the way?",
    ("timeout", ""): _LOGS,
    ("truncated", "before responding"): "give an https URL if the port speaks TLS: --url https://HOST:PORT",
    ("connect", "unknown host"): "give a host that this machine resolves: --url http://HOST:PORT",
    ("connect", ""): "start the server, or give the address at which it listens: --url http://HOST:PORT",
    ("not-http", ""): "give the port that speaks HTTP, or an https URL: --url https://HOST:PORT",
    ("redirect", ""): "give the address that it redirects to: --url URL",
    ("client", ""): "ulimit -n 65536",
}


def suggest_remedy(kind: str, status: int | None, message: str) -> str:
    """What to do about a failed request.

    :param kind: that of the failure, such as connect or tls.
    :param status: of the HTTP response, if there was one.
    """
    if status is not None:
        return _BY_STATUS.get(status, _LOGS)
    fitting = (remedy for (k, part), remedy in _BY_MESSAGE.items() if k == kind and part in message)
    return next(fitting, _LOGS)
