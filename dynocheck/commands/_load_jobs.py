"""`dynocheck load` from inside a cluster: writes a Job that makes the load, or runs it."""

import asyncio
import ipaddress
import secrets
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import msgspec
import yaml

from dynocheck.commands import load
from dynocheck.commands._settings import CommonOptions
from dynocheck.commands.load import LoadOptions, LoadRunner, Notify
from dynocheck.core.errors import UsageError
from dynocheck.facts import Unavailable
from dynocheck.facts.endpoint.answers import Address
from dynocheck.facts.load.run import LoadLimits, LoadRun
from dynocheck.kube import Cluster, ClusterConnection, find_connection
from dynocheck.loadtest import aiperf, manifests
from dynocheck.loadtest.manifests import KubeObject
from dynocheck.loadtest.plan import LoadPlan
from dynocheck.loadtest.pods import measure_share, merge_logs
from dynocheck.loadtest.start_barrier import WorkerRank

_UNPUBLISHED = "--image IMAGE: one that has dynocheck installed; none is published, and three lines build it"
_LOG_S = 60.0  # for the log of a pod, which may be long
_SLACK_S = 120.0  # from a Job's deadline to its being told


@dataclass(frozen=True)
class LoadJobOptions:
    """What the command line says of a load from inside a cluster."""

    deployment: str | None = None
    in_cluster: bool = False
    as_aiperf: bool = False
    parallelism: int | None = None
    image: str | None = None
    api_key_secret: str | None = None
    tokenizer: str | None = None
    claim: str | None = None
    manifest: str | None = None
    apply: bool = False


def run(choices: CommonOptions, wanted: LoadOptions, asked: LoadJobOptions) -> int:
    """Write the Job, or run it and judge what it measured.

    :return: the exit code.
    :raises UsageError: what the user gave does not go together, or cannot be used.
    """
    _check_options(wanted, asked)
    if not asked.apply and (
        choices.outputs or wanted.limits or wanted.recipe or wanted.baseline or wanted.save
    ):
        judging = "-o, --limit, --recipe, --baseline, --save"
        raise UsageError(f"{judging}: with --apply, or later with --from and the logs")
    needed = asked.deployment is not None or asked.apply
    connection = find_connection(choices.kubeconfig, choices.context, choices.namespace) if needed else None
    address = (
        _find_address(choices, asked.deployment, connection) if asked.deployment and connection else None
    )
    plan = _make_plan(replace(wanted, url=address.url) if address else wanted, asked)
    namespace = connection.namespace if connection else choices.namespace
    made = _make_manifests(plan, asked, namespace)
    if not asked.apply:
        return _write_manifests(made, asked.manifest)
    assert connection is not None
    cluster = Cluster(connection, timeout_s=_LOG_S)
    job, service = made
    measure = LoadRunner(
        lambda tell: _apply_job(cluster, job, service, plan, tell),
        {"url": plan.endpoint.url, "way": f"{plan.workers} pods of namespace {namespace}"},
        address.limits if address else LoadLimits(),
    )
    return load.run(choices, wanted, measure)


def run_worker(wanted: LoadOptions, place: str) -> int:
    """Be one of the pods: make its share, and leave what was measured in the log."""
    found = WorkerRank.parse(place)
    plan = replace(load.make_plan(wanted), workers=found.of, path="from inside the cluster")
    click.echo(asyncio.run(measure_share(plan, found)))
    return 0  # also when it could not measure: a failed pod would take the others' results with it


def _check_options(wanted: LoadOptions, asked: LoadJobOptions) -> None:
    """:raises UsageError: what was given does not go together."""
    here = {
        "--api-key-env and --api-key-file": wanted.has_key,
        "--ca-file": wanted.ca_file,
        "--prompts": wanted.prompts,
    }
    wrong = {
        "--in-cluster and --as-aiperf: give one": asked.in_cluster and asked.as_aiperf,
        "a DynamoGraphDeployment and --url: give one": asked.deployment and wanted.url,
        "a DynamoGraphDeployment and --recipe: give one": asked.deployment and wanted.recipe,
        "--apply: only with --in-cluster": asked.apply and asked.as_aiperf,
        "--apply and --manifest: give one": asked.apply and asked.manifest,
        "--workers: with --in-cluster it is --parallelism": wanted.workers > 1,
        "--from and a Job: give one": wanted.recorded,
        "--tokenizer and --claim: only with --as-aiperf": asked.in_cluster
        and (asked.tokenizer or asked.claim),
        "--parallelism: only with --in-cluster": asked.as_aiperf and asked.parallelism,
    }
    for what, is_so in wrong.items():
        if is_so:
            raise UsageError(what)
    for what, is_so in here.items():
        if is_so:
            key = "; the key of a Secret is --api-key-secret NAME/KEY" if "key" in what else ""
            raise UsageError(f"{what}: of this machine, which no pod sees{key}")


def _make_plan(wanted: LoadOptions, asked: LoadJobOptions) -> LoadPlan:
    plan = load.make_plan(replace(wanted, workers=1))
    if _is_loopback(plan.endpoint.host):
        raise UsageError(f"--url {plan.endpoint.url}: in a pod that is the pod itself")
    parallelism = (asked.parallelism or 2) if asked.in_cluster else 1
    if plan.rate is None and parallelism > min(plan.concurrencies):
        raise UsageError(f"--parallelism {parallelism}: more than there are requests at a time")
    return replace(plan, workers=parallelism)


def _find_address(choices: CommonOptions, name: str, connection: ClusterConnection) -> Address:
    """Where a deployment's frontend is, as pods know it, and what its graph says of it."""
    from dynocheck.probes.endpoint.address import DNS, address
    from dynocheck.probes.endpoint.graph import DeploymentRef

    try:
        found = address.look(DeploymentRef(name, DNS), Cluster(connection, timeout_s=choices.timeout_s))
    except Unavailable as error:
        raise UsageError(f"where {name} serves: {error}") from None
    assert isinstance(found, Address)
    if found.missing:
        raise UsageError(f"{name}: {found.missing}")
    return found


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _make_manifests(plan: LoadPlan, asked: LoadJobOptions, namespace: str | None) -> tuple[KubeObject, ...]:
    secret = _parse_secret(asked.api_key_secret) if asked.api_key_secret else None
    name = f"dynocheck-load-{secrets.token_hex(3)}"
    if asked.in_cluster:
        if asked.image is None:
            raise UsageError(_UNPUBLISHED)
        return manifests.make_indexed_job(
            plan, name=name, namespace=namespace, image=asked.image, secret=secret
        )
    if asked.claim is None:
        raise UsageError("--claim NAME: the PersistentVolumeClaim that AIPerf's results are kept on")
    return (
        aiperf.make_load_job(
            plan,
            name=name,
            namespace=namespace,
            claim=asked.claim,
            image=asked.image or aiperf.IMAGE,
            tokenizer=asked.tokenizer,
            secret=secret,
        ),
    )


def _parse_secret(text: str) -> tuple[str, str]:
    name, _, key = text.partition("/")
    if not name or not key or "/" in key:
        raise UsageError(f"--api-key-secret {text}: not of the form NAME/KEY")
    return name, key


class _Dumper(yaml.SafeDumper):
    """Writes scripts line by line."""


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def _write_manifests(made: Sequence[KubeObject], file: str | None) -> int:
    text = yaml.dump_all(made, Dumper=_Dumper, sort_keys=False, width=200)
    if file is None or file == "-":
        click.echo(text, nl=False)
        return 0
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--manifest {file}: {error.strerror}") from None
    return 0


def _apply_job(
    cluster: Cluster, job: KubeObject, service: KubeObject, plan: LoadPlan, tell: Notify
) -> LoadRun:
    """Run it to its end, and fold what its pods measured. Ended from outside, it takes the Job with it."""
    from dynocheck.kube.jobs import JobRunner  # the official client takes half a second to import

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    longest_s = job["spec"]["activeDeadlineSeconds"] + _SLACK_S
    runner = JobRunner(cluster, job, service, _print_notice)
    with runner.create():
        found = merge_logs(runner.collect_logs(longest_s, tell), plan.workers)
    return msgspec.structs.replace(found, path=f"from {plan.workers} pods of the cluster")


def _print_notice(what: str) -> None:
    """On standard error, over the line that shows progress."""
    over = "\r\x1b[K" if sys.stderr.isatty() else ""
    click.echo(f"{over}{what}", err=True)
