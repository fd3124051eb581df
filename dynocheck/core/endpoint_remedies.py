"""Suggests what to do about a request that an endpoint did not answer, by what went wrong."""

_BY_STATUS = {
    401: "give the key: --api-key-env NAME or --api-key-file FILE",
    403: "give a key with access: --api-key-env NAME or --api-key-file FILE",
    404: "give the address of an OpenAI-compatible server: --url http://HOST:PORT",
    429: "wait, or reduce the load on the server",
}
_BY_KIND = {
    "connect": "kubectl get pods,services   # is the frontend running, and is this its address?",
    "timeout": "kubectl get pods,services,networkpolicies   # is it running, and is the way to it open?",
    "not-http": "give the port that speaks HTTP, or an https URL: --url https://HOST:PORT",
    "redirect": "give the address that it redirects to: --url URL",
    "client": "ulimit -n 65536",
}
_LOGS = "kubectl logs -l nvidia.com/dynamo-component-type=frontend   # why does it answer so?"


def suggest_remedy(kind: str, status: int | None, message: str) -> str:
    """What to do about a failed request.

    :param kind: that of the failure, such as connect or tls.
    :param status: of the HTTP response, if there was one.
    """
    if status is not None:
        return _BY_STATUS.get(status, _LOGS)
    if kind == "tls" and "certificate" in message:
        return "trust its certificate authority: --ca-file FILE"
    if kind == "tls":
        return "give an http URL if the server has no TLS: --url http://HOST:PORT"
    if kind == "connect" and "unknown host" in message:
        return "kubectl get services   # whose name is it, and does this machine resolve it?"
    return _BY_KIND.get(kind, _LOGS)
