# SPDX-License-Identifier: Apache-2.0
"""Writes the .safetensors files beside it with the safetensors library (last run with 0.8.0):
python3 generate.py"""

import pathlib

import numpy
import safetensors
import safetensors.numpy

here = pathlib.Path(__file__).parent

safetensors.numpy.save_file(
    {
        "w": numpy.arange(6, dtype="<f4").reshape(2, 3),
        "b": numpy.array([1, -2], dtype="i1"),
        "scalar": numpy.array(2.5, dtype="<f8"),
        "none": numpy.zeros((0, 4), dtype="<i4"),
    },
    here / "mixed.safetensors",
    metadata={"made by": "numpy"},
)
safetensors.numpy.save_file({}, here / "empty.safetensors")


def raw(name, dtype, width):
    data = numpy.zeros(4 * width, dtype="u1")  # must outlive the spec, which holds its address
    spec = safetensors.TensorSpec(
        dtype=dtype, shape=[2, 2], data_ptr=data.ctypes.data, data_len=data.nbytes
    )
    (here / f"{name}.safetensors").write_bytes(safetensors.serialize({"w": spec}))


def ordered():
    """One tensor and an empty one of each dtype, named against the library's order."""
    sizes = dict(bool=1, int8=1, uint8=1, int16=2, uint16=2, float16=2, bfloat16=2, int32=4,
                 uint32=4, float32=4, float64=8, int64=8, uint64=8)
    buffers, specs = [], {}
    for number, (dtype, width) in enumerate(sizes.items()):
        for shape in [[3], [0, 2]]:
            data = numpy.full(int(numpy.prod(shape)) * width, number, dtype="u1")
            buffers.append(data)
            specs[f'{number:02}.{len(shape)}."é\\\n'] = safetensors.TensorSpec(
                dtype=dtype, shape=shape, data_ptr=data.ctypes.data, data_len=data.nbytes
            )
    # More than one entry of metadata would come in any order.
    (here / "ordered.safetensors").write_bytes(safetensors.serialize(specs, {"format": "pt"}))


ordered()
raw("bf16", "bfloat16", 2)
raw("f8", "float8_e4m3fn", 1)
