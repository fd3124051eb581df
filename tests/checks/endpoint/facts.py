"""Facts about endpoints, for checks of them."""

from typing import Any

from dynocheck.facts import Address, Readiness, Reply, RequestFailure

URL = Address(url="http://frontend:8000")
GOOD = Reply(seconds=0.1, status=200, completion_tokens=8, prompt_tokens=1000, content=40)
TRUNCATED = Reply(seconds=0.1, trouble=RequestFailure("truncated", "the stream ended without [DONE]"))


def ready(**fields: Any) -> Readiness:
    usual = {"stage": "done", "waited_s": 1.0, "budget_s": 300.0, "model": "m", "listed": ("m",)}
    return Readiness(**{**usual, **fields})
