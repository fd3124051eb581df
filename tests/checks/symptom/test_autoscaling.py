"""Autoscalers by their conditions."""

import pytest

from dynocheck.checks.symptom.autoscaling import autoscaler
from dynocheck.facts import Condition, DeployedObject, ObjectKey
from tests.checks.judging import outcomes
from tests.checks.symptom.states import make_state

HPA, KEDA = "HorizontalPodAutoscaler", "ScaledObject"
TARGET = ObjectKey("Deployment", "w")


@pytest.mark.parametrize(
    ("kind", "replicas", "condition", "found"),
    [
        (HPA, 2, Condition("ScalingActive", "True", "ValidMetricFound"), []),
        (HPA, 2, Condition("ScalingActive", "False", "FailedGetPodsMetric", "no metrics returned"), ["warn"]),
        (HPA, 0, Condition("ScalingActive", "False", "ScalingDisabled", "scaling is disabled"), []),
        (HPA, 2, Condition("AbleToScale", "False", "FailedGetScale", "not found"), ["warn"]),
        (HPA, 2, Condition("AbleToScale", "True", "ScaleDownStabilized"), []),
        (HPA, 2, Condition("ScalingLimited", "True", "TooManyReplicas", "more than the maximum"), ["warn"]),
        (HPA, 2, Condition("ScalingLimited", "True", "TooFewReplicas", "less than the minimum"), []),
        (KEDA, 2, Condition("Ready", "False", "ScaledObjectCheckFailed", "trigger"), ["warn"]),
        (KEDA, 0, Condition("Ready", "False", "ScaledObjectCheckFailed", "trigger"), ["fail"]),
        (KEDA, 0, Condition("Active", "False", "ScalerNotActive"), []),
        (KEDA, 0, Condition("Paused", "True", "ScaledObjectPaused"), ["fail"]),
        (KEDA, 2, Condition("Paused", "True", "ScaledObjectPaused"), []),
        (KEDA, 2, Condition("Fallback", "True", "FallbackExists"), ["warn"]),
    ],
)
def test_an_autoscaler(kind: str, replicas: int, condition: Condition, found: list[str]) -> None:
    scaler = DeployedObject(key=ObjectKey(kind, "w"), owners=(TARGET,), conditions=(condition,))
    target = DeployedObject(key=TARGET, desired=replicas, ready=replicas)
    assert outcomes(autoscaler, make_state(objects=(scaler, target))) == found


def test_no_autoscaler() -> None:
    assert outcomes(autoscaler, make_state()) == ["skip"]
