"""A recipe folder as a model: which files it has, what they say and where."""
