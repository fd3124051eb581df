"""`dynocheck diagnose`: explains why a deployment does not serve."""

import datetime
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dynocheck.commands._run import Run, RunContext
from dynocheck.core import snapshot
from dynocheck.core.declarations import Check
from dynocheck.core.errors import UsageError
from dynocheck.core.explanations import link_explanations
from dynocheck.core.knowledge import Knowledge
from dynocheck.core.options import CommonOptions
from dynocheck.core.outcomes import Finding, Outcome
from dynocheck.core.pipeline import judge
from dynocheck.facts import DiagnosisFact, EarlierState, Fact, NamespaceState
from dynocheck.probes.symptom.objects import DiagnosisTarget

_AGO = re.compile(r"(\d{1,5})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_PAUSE_S = 2.0
_STANDING_S = 60.0
# A node may be added, a claim bound and a controller woken up without anybody's doing.
_PASSING = ("symptom.unscheduled", "symptom.claim", "symptom.node", "symptom.graph", "symptom.workload")


@dataclass(frozen=True)
class DiagnoseOptions:
    """What else is looked at.

    :param prometheus: URL of the server that has the metrics of the pods.
    :param token_env: the environment variable with its bearer token.
    :param compare: a snapshot of the deployment at an earlier time.
    :param since: a moment, RFC 3339, or a time ago, such as 2h.
    """

    prometheus: str | None = None
    token_env: str | None = None
    compare: str | None = None
    since: str | None = None

    def find_earlier(self) -> dict[type[Fact], Fact]:
        """What the deployment is compared with, as a fact; none if it is not.

        :raises UsageError: it cannot be read, or is no moment.
        """
        if self.compare and self.since:
            raise UsageError("--compare and --since: give one")
        if self.since:
            return {EarlierState: EarlierState(since=_parse_moment(self.since))}
        if not self.compare:
            return {}
        known, _ = snapshot.read(Path(self.compare), [NamespaceState])
        state = known.facts.get(NamespaceState)
        if not isinstance(state, NamespaceState):
            raise UsageError(
                f"{self.compare}: holds no workloads; record it with dynocheck snapshot --workloads"
            )
        return {EarlierState: EarlierState(state=state)}

    def make_target(self, name: str) -> DiagnosisTarget:
        """What is diagnosed.

        :raises UsageError: Prometheus cannot be asked as the options say.
        """
        if self.prometheus is None:
            return DiagnosisTarget(name)
        from dynocheck.serving import Endpoint
        from dynocheck.serving.endpoint import read_key

        return DiagnosisTarget(name, Endpoint(self.prometheus, key=read_key(self.token_env, None)))


def run(
    options: CommonOptions, target: str, wait_s: float = 0.0, extra: DiagnoseOptions | None = None
) -> int:
    """Explain it.

    :param target: the name of a graph, or KIND/NAME; empty for all of the namespace.
    :param wait_s: the longest time in seconds to wait until it serves, or until it is clear that it cannot.
    :return: the exit code.
    :raises UsageError: an option cannot be used.
    """
    if wait_s and options.snapshot:
        raise UsageError("--wait: not with --snapshot")
    rollout = _Rollout(wait_s)
    extra = extra or DiagnoseOptions()
    context = RunContext(
        sources={DiagnosisTarget: extra.make_target(target)},
        facts=extra.find_earlier(),
        describe_target=lambda facts: {"deployment": target} if target else {},
        look_again=rollout.look_again,
        describe_waiting=lambda: rollout.waiting_for,
    )
    return Run.begin("diagnose", options, DiagnosisFact).judge(cluster=True, context=context)


def _parse_moment(text: str) -> str:
    """The moment that is meant, RFC 3339.

    :raises UsageError: it is none.
    """
    if match := _AGO.fullmatch(text):
        ago = datetime.timedelta(**{_UNITS[match[2]]: int(match[1])})
        return (datetime.datetime.now(datetime.UTC) - ago).isoformat(timespec="seconds")
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"--since {text}: neither a time such as 2h nor one as 2026-11-29T08:00:00Z"
        ) from None
    return (moment if moment.tzinfo else moment.astimezone()).isoformat(timespec="seconds")


class _Rollout:
    """A deployment that is being rolled out, until it serves, cannot, or the time is over."""

    def __init__(self, wait_s: float) -> None:
        self.waiting_for = ""
        self._end = time.monotonic() + wait_s
        self._since: dict[str, float] = {}  # since when each failure stands

    def look_again(self, checks: Sequence[Check], known: Knowledge) -> bool:
        """Whether to look once more, after a pause: something is wrong, may pass, and there is time."""
        now = time.monotonic()
        if now >= self._end:
            return False
        linked, _ = link_explanations(judge(checks, known), {c.id: c.explained_by for c in checks})
        problems = [(v.check, f) for v in linked for f in v.findings if f.explained_by is None]
        self.waiting_for = problems[0][1].message if problems else ""
        lasting = {
            _name(f): now for check, f in problems if f.outcome is Outcome.FAIL and check not in _PASSING
        }
        self._since = lasting | {name: self._since[name] for name in lasting.keys() & self._since.keys()}
        if not problems or any(now - since > _STANDING_S for since in self._since.values()):
            return False
        time.sleep(min(_PAUSE_S, self._end - now))
        return True


def _name(finding: Finding) -> str:
    return f"{finding.subject}: {finding.evidence.get('container', '')}"
