"""`dynocheck diagnose`: explains why a deployment does not serve."""

import datetime
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dynocheck.commands._rollout import PAUSE_S, LiveView, Rollout
from dynocheck.commands._run import Run, RunContext
from dynocheck.core import snapshot
from dynocheck.core.errors import UsageError
from dynocheck.core.knowledge import Knowledge, MissingFact
from dynocheck.core.options import CommonOptions
from dynocheck.facts import DiagnosisFact, EarlierState, Fact, NamespaceState, Unavailable
from dynocheck.probes.symptom.objects import WATCHED, DiagnosisTarget, narrow

if TYPE_CHECKING:
    from dynocheck.kube.changes import ChangeWatch

_AGO = re.compile(r"(\d{1,5})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_ANSWER_S = 2.0  # for a watch to be answered, after a look that was not
_REST_S = 15.0  # until a deployment that is watched is looked at although nothing has changed


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
    options: CommonOptions,
    target: str,
    wait_s: float = 0.0,
    extra: DiagnoseOptions | None = None,
    *,
    watch: bool = False,
) -> int:
    """Explain it.

    :param target: the name of a graph, or KIND/NAME; empty for all of the namespace.
    :param wait_s: the longest time in seconds to wait until it serves, or until it is clear that it cannot.
    :param watch: show meanwhile how it stands, with each change; without `wait_s` there is no longest time.
    :return: the exit code.
    :raises UsageError: an option cannot be used.
    """
    if (wait_s or watch) and options.snapshot:
        raise UsageError("--wait, --watch: not with --snapshot")
    extra = extra or DiagnoseOptions()
    if extra.prometheus and options.snapshot:
        raise UsageError("--prometheus: not with --snapshot, which has its own metrics or none")
    if not watch:
        return _judge(options, target, extra, Rollout(wait_s))
    view = LiveView()
    with _watch(options) as changes:
        pause = partial(_pause, changes)
        reach = partial(changes.has_answered, _ANSWER_S) if not wait_s else lambda: True
        rollout = Rollout(wait_s or math.inf, pause, view.show, reach)
        return _judge(options, target, extra, rollout, view.clear)


@contextmanager
def _watch(options: CommonOptions) -> "Iterator[ChangeWatch]":
    """Watch what a diagnosis reads."""
    from dynocheck import kube
    from dynocheck.kube.changes import ChangeWatch

    connection = kube.find_connection(options.kubeconfig, options.context, options.namespace)
    cluster = kube.Cluster(connection, timeout_s=max(options.timeout_s, 60.0))
    with ChangeWatch(cluster, connection.namespace, WATCHED) as changes:
        yield changes


def _pause(changes: "ChangeWatch", longest_s: float) -> None:
    """Wait for a change: briefly if something is not watched."""
    changes.wait(min(longest_s, PAUSE_S if changes.unwatched else _REST_S))


def _judge(
    options: CommonOptions,
    target: str,
    extra: DiagnoseOptions,
    rollout: Rollout,
    end_view: Callable[[], None] | None = None,
) -> int:
    """Look until the rollout is over, and report.

    :param end_view: removes the view that was shown instead of the usual progress.
    """
    context = RunContext(
        sources={DiagnosisTarget: extra.make_target(target)},
        facts=extra.find_earlier(),
        describe_target=lambda facts: {"deployment": target} if target else {},
        amend=partial(_narrow_recorded, target) if options.snapshot and target else lambda known: None,
        look_again=rollout.look_again,
        describe_waiting=lambda: rollout.waiting_for,
        end_view=end_view,
    )
    return Run.begin("diagnose", options, DiagnosisFact).judge(cluster=True, context=context)


def _narrow_recorded(target: str, known: Knowledge) -> None:
    """Leave in a recording, which is of a whole namespace, only what belongs to the target."""
    state = known.facts.get(NamespaceState)
    if not isinstance(state, NamespaceState):
        return
    try:
        known.facts[NamespaceState] = narrow(state, target)
    except Unavailable as error:
        del known.facts[NamespaceState]
        known.missing[NamespaceState] = MissingFact(str(error), error.fix)


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
