"""Checks of DynamoGraphDeployments as a whole."""
