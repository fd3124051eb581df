"""The help of a verb: its examples, and its options in groups."""

from collections.abc import Sequence
from typing import Any

import click

# The options by their parameters. Those that are not here belong to one verb, and say how it checks.
_HOW = "How to check"
_GROUPS = {
    "What to check": "recipe recipes url model cluster snapshot select skip crds assignments env_files diff"
    " baseline write_baseline recorded",
    _HOW: "",
    "Pods": "in_cluster parallelism apply as_aiperf image api_key_secret tokenizer claim manifest"
    " pull_secret node_selectors tolerations runtime_class kernel_log",
    "Connection": "api_key_env api_key_file ca_file insecure via",
    "Cluster": "kubeconfig context namespace timeout_s",
    "Output": "outputs output strict save smoke load bind",
}
_HELP = "Other"


class Verb(click.Command):
    """A command with examples, whose help lists its options in groups.

    :param examples: command lines.
    """

    def __init__(self, *arguments: Any, examples: Sequence[str] = (), **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.examples = examples

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the description, then the examples, each on a line that is not wrapped."""
        super().format_help_text(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{example}\n")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section for each group that has options."""
        groups: dict[str, list[tuple[str, str]]] = {name: [] for name in (*_GROUPS, _HELP)}
        by_parameter = {name: group for group, names in _GROUPS.items() for name in names.split()}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record is not None:
                group = _HELP if "--help" in parameter.opts else by_parameter.get(parameter.name or "", _HOW)
                groups[group].append(record)
        for name, records in groups.items():
            if records:
                with formatter.section(name):
                    formatter.write_dl(records)
