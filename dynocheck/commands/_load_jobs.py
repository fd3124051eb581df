"""`dynocheck load --in-cluster` and `--as-aiperf`: writes a Job that runs the load test, or applies it."""

import asyncio
import ipaddress
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import msgspec
import yaml

from dynocheck.commands import load
from dynocheck.commands.load import LoadOptions, LoadRunner
from dynocheck.core.errors import UsageError
from dynocheck.core.options import CommonOptions
from dynocheck.facts import Address, LoadLimits, LoadRun, Unavailable, parse_quantity
from dynocheck.kube import Cluster, ClusterConnection, find_connection
from dynocheck.kube.manifests import NO_IMAGE, KubeObject
from dynocheck.loadtest import aiperf, manifests
from dynocheck.loadtest.plan import LoadPlan
from dynocheck.loadtest.pods import measure_share, merge_logs
from dynocheck.loadtest.progress import Progress
from dynocheck.loadtest.start_barrier import WorkerRank

_LOG_S = 60.0  # to read the log of a pod
_SLACK_S = 120.0  # beyond the deadline of the Job


@dataclass(frozen=True)
class LoadJobOptions:
    """The options of a load test that runs as a Job."""

    deployment: str | None = None
    in_cluster: bool = False
    as_aiperf: bool = False
    parallelism: int | None = None
    cpu: str | None = None
    image: str | None = None
    api_key_secret: str | None = None
    tokenizer: str | None = None
    claim: str | None = None
    manifest: str | None = None
    apply: bool = False


def run(common: CommonOptions, options: LoadOptions, job_options: LoadJobOptions) -> int:
    """Write the Job, or apply it and judge its measurements.

    :return: the exit code.
    :raises UsageError: an option cannot be used, or not with another.
    """
    _check_options(options, job_options)
    if not job_options.apply and (
        common.outputs or options.limits or options.recipe or options.baseline or options.save
    ):
        raise UsageError(
            "-o, --limit, --recipe, --baseline, --save: with --apply, or later with --from and the logs"
        )
    needed = job_options.deployment is not None or job_options.apply
    connection = find_connection(common.kubeconfig, common.context, common.namespace) if needed else None
    address = (
        _find_address(common, job_options.deployment, connection)
        if job_options.deployment and connection
        else None
    )
    if address is not None and address.key_secret and job_options.api_key_secret is None:
        job_options = replace(job_options, api_key_secret=address.key_secret)
    plan = _make_plan(replace(options, url=address.url) if address else options, job_options)
    namespace = connection.namespace if connection else common.namespace
    documents = _make_manifests(plan, job_options, namespace)
    if not job_options.apply:
        return _write_manifests(documents, job_options.manifest)
    assert connection is not None
    cluster = Cluster(connection, timeout_s=_LOG_S)
    job, service = documents
    measure = LoadRunner(
        lambda progress: _apply_job(cluster, job, service, plan, progress),
        {"url": plan.endpoint.url, "way": f"{plan.workers} pods of namespace {namespace}"},
        address.limits if address else LoadLimits(),
    )
    return load.run(common, options, measure)


def run_worker(options: LoadOptions, place: str) -> int:
    """Run a pod's share of the load, and print its measurements to the log."""
    rank = WorkerRank.parse(place)
    plan = replace(load.make_plan(options), workers=rank.of, path="from inside the cluster")
    click.echo(asyncio.run(measure_share(plan, rank)))
    return 0  # also without measurements: a failed pod would fail the Job and lose the others' results


def _check_options(options: LoadOptions, job_options: LoadJobOptions) -> None:
    """:raises UsageError: two options cannot be combined."""
    local = {
        "--api-key-env and --api-key-file": options.has_key,
        "--ca-file": options.ca_file,
        "--prompts": options.prompts,
    }
    conflicts = {
        "--in-cluster and --as-aiperf: give one": job_options.in_cluster and job_options.as_aiperf,
        "a DynamoGraphDeployment and --url: give one": job_options.deployment and options.url,
        "a DynamoGraphDeployment and --recipe: give one": job_options.deployment and options.recipe,
        "--apply: only with --in-cluster": job_options.apply and job_options.as_aiperf,
        "--apply and --manifest: give one": job_options.apply and job_options.manifest,
        "--workers: with --in-cluster it is --parallelism": options.workers > 1,
        "--from and a Job: give one": options.recorded,
        "--tokenizer and --claim: only with --as-aiperf": job_options.in_cluster
        and (job_options.tokenizer or job_options.claim),
        "--parallelism and --cpu: only with --in-cluster": job_options.as_aiperf
        and (job_options.parallelism or job_options.cpu),
    }
    for message, applies in conflicts.items():
        if applies:
            raise UsageError(message)
    for names, value in local.items():
        if value:
            key = "; use --api-key-secret NAME/KEY" if "key" in names else ""
            raise UsageError(f"{names}: pods cannot read files or variables of this machine{key}")


def _make_plan(options: LoadOptions, job_options: LoadJobOptions) -> LoadPlan:
    plan = load.make_plan(replace(options, workers=1))
    if _is_loopback(plan.endpoint.host):
        raise UsageError(f"--url {plan.endpoint.url}: inside a pod, that is the pod itself")
    parallelism = (job_options.parallelism or 2) if job_options.in_cluster else 1
    if plan.rate is None and parallelism > min(plan.concurrencies):
        raise UsageError(f"--parallelism {parallelism}: more pods than concurrent requests")
    return replace(plan, workers=parallelism)


def _find_address(common: CommonOptions, name: str, connection: ClusterConnection) -> Address:
    """The address of a deployment's frontend for pods, with the limits of its graph."""
    from dynocheck.probes.endpoint.address import DNS, address
    from dynocheck.probes.endpoint.graph import DeploymentRef

    try:
        answer = address.look(DeploymentRef(name, DNS), Cluster(connection, timeout_s=common.timeout_s))
    except Unavailable as error:
        raise UsageError(f"address of {name}: {error}") from None
    assert isinstance(answer, Address)
    if answer.missing:
        raise UsageError(f"{name}: {answer.missing}")
    return answer


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _make_manifests(
    plan: LoadPlan, job_options: LoadJobOptions, namespace: str | None
) -> tuple[KubeObject, ...]:
    secret = _parse_secret(job_options.api_key_secret) if job_options.api_key_secret else None
    name = f"dynocheck-load-{secrets.token_hex(3)}"
    if job_options.in_cluster:
        if job_options.image is None:
            raise UsageError(NO_IMAGE)
        cpu = job_options.cpu or "1"
        if (parse_quantity(cpu) or 0) <= 0:
            raise UsageError(f"--cpu {cpu}: not a number of CPUs as in Kubernetes, such as 2 or 500m")
        return manifests.make_indexed_job(
            plan, name=name, namespace=namespace, image=job_options.image, cpu=cpu, secret=secret
        )
    if job_options.claim is None:
        raise UsageError("--claim NAME: the PersistentVolumeClaim for AIPerf's results")
    return (
        aiperf.make_load_job(
            plan,
            name=name,
            namespace=namespace,
            claim=job_options.claim,
            image=job_options.image or aiperf.IMAGE,
            tokenizer=job_options.tokenizer,
            secret=secret,
        ),
    )


def _parse_secret(text: str) -> tuple[str, str]:
    name, _, key = text.partition("/")
    if not name or not key or "/" in key:
        raise UsageError(f"--api-key-secret {text}: not of the form NAME/KEY")
    return name, key


class _Dumper(yaml.SafeDumper):
    """Writes multi-line strings as literal blocks."""


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def _write_manifests(documents: Sequence[KubeObject], file: str | None) -> int:
    text = yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=200)
    if file is None or file == "-":
        click.echo(text, nl=False)
        return 0
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--manifest {file}: {error.strerror}") from None
    return 0


def _apply_job(
    cluster: Cluster, job: KubeObject, service: KubeObject, plan: LoadPlan, progress: Progress
) -> LoadRun:
    """Run the Job to its end and merge the measurements of its pods."""
    from dynocheck.kube.jobs import JobRunner  # the official client takes half a second to import

    longest_s = job["spec"]["activeDeadlineSeconds"] + _SLACK_S
    runner = JobRunner(cluster, job, service, _print_notice)
    with runner.create():
        merged = merge_logs(runner.collect_logs(longest_s, progress), plan.workers)
    return msgspec.structs.replace(merged, path=f"from {plan.workers} pods of the cluster")


def _print_notice(message: str) -> None:
    """Print to standard error, over the progress line."""
    over = "\r\x1b[K" if sys.stderr.isatty() else ""
    click.echo(f"{over}{message}", err=True)
