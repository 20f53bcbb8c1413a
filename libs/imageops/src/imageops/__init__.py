"""The local engine's operations: pure functions on images.

`decode` and `encode` turn bytes into 8-bit sRGB pictures and back; each operation is a function from
pictures to pictures; `OPERATIONS` runs any of them by its capability's name, bytes to bytes. Nothing
here reads a file, a clock or the network: the same arguments give the same bytes in every process.
"""

from imageops.codec import Probe, decode, encode, probe
from imageops.enlarging.upscaling import upscale
from imageops.errors import ImageRefused, ParameterRefused, RefusalReason, Refused
from imageops.generation import generate
from imageops.operations import OPERATIONS, Operation, Output
from imageops.parameters import Parameter

__all__ = [
    "OPERATIONS",
    "ImageRefused",
    "Operation",
    "Output",
    "Parameter",
    "ParameterRefused",
    "Probe",
    "RefusalReason",
    "Refused",
    "decode",
    "encode",
    "generate",
    "probe",
    "upscale",
]
