"""OpenVINO as a CPU backend: the same network and weights through another compiler."""

from __future__ import annotations

import sys
import warnings

# OpenVINO's tools report their use over the network unless their telemetry package is missing.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

import openvino  # noqa: E402 - only now
import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from scanmend.cards import Card  # noqa: E402


class OpenVinoNetwork:
    """A network compiled by OpenVINO for the CPU.

    Args:
        network: in eval mode, float32.
        card: for the number of inputs and the size rule.
        reduced: compute in bfloat16; float32 otherwise.
    """

    def __init__(self, network: nn.Module, card: Card, *, reduced: bool) -> None:
        example = torch.zeros(1, card.inputs, 8 * card.multiple, 8 * card.multiple)
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # OpenVINO traces through torch.jit
            model = openvino.convert_model(network, example_input=example)
        model.reshape([1, card.inputs, -1, -1])
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if reduced else "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        self._compiled = openvino.Core().compile_model(model, "CPU", settings)

    def __call__(self, inputs: Tensor) -> Tensor:
        outputs = self._compiled([inputs.float().contiguous().numpy()])
        return torch.from_numpy(outputs[0])
