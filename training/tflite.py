"""The teachers: quantised MobileNet v1, MobileNet v2 and YAMNet files (Coral, Apache-2.0).

Their weights are read out as floats to start the towers from, and their class probabilities are
what the towers are distilled on. Needs ai-edge-litert (group `training`).

Papers: MobileNets, arXiv:1704.04861; MobileNetV2, arXiv:1801.04381; YAMNet is MobileNet v1 over
log-mel spectrograms, trained on AudioSet.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seehear.errors import ModelUnavailableError
from seehear.libraries import naming_faults

Floats = NDArray[np.float32]

IMAGE_FEATURES = "mobilenet_v1_features.tflite"
IMAGE_CLASSES = "mobilenet_v2_imagenet.tflite"
AUDIO_CLASSES = "yamnet.tflite"
IMAGE_PX = 224
PATCH_FRAMES, PATCH_MELS = 96, 64

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")


def _interpreter(path: Path) -> Any:
    with naming_faults():
        from ai_edge_litert.interpreter import Interpreter
    if not path.is_file():
        raise ModelUnavailableError(f"the teacher {path} is missing")
    return Interpreter(str(path), num_threads=2)


def convolution_weights(path: Path) -> list[tuple[Floats, Floats]]:
    """Return weight (out, in/groups, kh, kw) and bias (out,) of every convolution, in order.

    Batch normalisation is folded into them already. Depthwise kernels come as (channels, 1, 3, 3).
    """
    interpreter = _interpreter(path)
    details = {entry["index"]: entry for entry in interpreter.get_tensor_details()}
    found = []
    for operation in interpreter._get_ops_details():
        if operation["op_name"] not in _CONVOLUTIONS:
            continue
        _, weight_index, bias_index = (int(index) for index in operation["inputs"][:3])
        weight = _dequantised(interpreter, details[weight_index])
        bias = _dequantised(interpreter, details[bias_index])
        # TFLite keeps (out, kh, kw, in), depthwise as (1, kh, kw, channels).
        depthwise = operation["op_name"] == "DEPTHWISE_CONV_2D"
        order = (3, 0, 1, 2) if depthwise else (0, 3, 1, 2)
        found.append((np.ascontiguousarray(weight.transpose(order)), bias))
    return found


def _dequantised(interpreter: Any, detail: dict[str, Any]) -> Floats:
    values = interpreter.get_tensor(detail["index"]).astype(np.float32)
    parameters = detail["quantization_parameters"]
    scales = np.asarray(parameters["scales"], np.float32)
    zeros = np.asarray(parameters["zero_points"], np.float32)
    if scales.size > 1:  # one scale per channel, along quantized_dimension
        shape = [1] * values.ndim
        shape[int(parameters["quantized_dimension"])] = scales.size
        scales, zeros = scales.reshape(shape), zeros.reshape(shape)
    result: Floats = (values - zeros) * scales
    return result


class QuantisedTeacher:
    """One of the teacher files, run on single inputs."""

    def __init__(self, path: Path) -> None:
        self._interpreter = _interpreter(path)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]

    def __call__(self, value: NDArray[Any]) -> Floats:
        """Return the teacher's output, float32 (m,), for one input of its own shape and type."""
        self._interpreter.set_tensor(self._input["index"], value.astype(self._input["dtype"])[None])
        self._interpreter.invoke()
        result = self._interpreter.get_tensor(self._output["index"]).reshape(-1)
        scale, zero = self._output["quantization"]
        result = result.astype(np.float32)
        scaled: Floats = (result - zero) * scale if scale else result
        return scaled
