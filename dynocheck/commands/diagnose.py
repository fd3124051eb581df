"""`dynocheck diagnose`: explains why a deployment does not serve."""

from dynocheck.commands._run import Run, RunContext
from dynocheck.core.options import CommonOptions
from dynocheck.facts import DiagnosisFact
from dynocheck.probes.symptom.objects import DiagnosisTarget


def run(options: CommonOptions, target: str) -> int:
    """Explain it.

    :param target: the name of a graph, or KIND/NAME; empty for all of the namespace.
    :return: the exit code.
    :raises UsageError: an option cannot be used.
    """
    context = RunContext(
        sources={DiagnosisTarget: DiagnosisTarget(target)},
        describe_target=lambda facts: {"deployment": target} if target else {},
    )
    return Run.begin("diagnose", options, DiagnosisFact).judge(cluster=True, context=context)
