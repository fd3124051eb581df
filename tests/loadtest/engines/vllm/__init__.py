"""Stands in for vLLM where it is not installed: the names that we use, and what they do, of release 0.32."""

from vllm.sampling_params import SamplingParams

__all__ = ["SamplingParams"]
