"""From facts to a report: declare, register, plan, probe, decide verdicts, build the report."""
