"""The pipeline from facts to a verdict: declarations, registry, probing, judging."""
