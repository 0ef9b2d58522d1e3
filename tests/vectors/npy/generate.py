# SPDX-License-Identifier: Apache-2.0
"""Writes the .npy files beside it with NumPy (last run with 2.4.6): python3 generate.py"""

import pathlib
import warnings

import numpy
from numpy.lib import format as npy

here = pathlib.Path(__file__).parent
warnings.simplefilter("ignore")  # NumPy warns that old readers cannot read 2.0 and 3.0


def write(name, array, version=(1, 0)):
    with open(here / f"{name}.npy", "wb") as file:
        npy.write_array(file, array, version=version)


matrix = numpy.arange(12, dtype="<f4").reshape(3, 4)
write("f4", matrix)
write("f4_v2", matrix, (2, 0))
write("f4_v3", matrix, (3, 0))
write("scalar", numpy.array(7, dtype="<i8"))
write("empty", numpy.zeros((0, 3), dtype="<f8"))
write("vector", numpy.array([-128, 0, 127], dtype="i1"))
write("bool", numpy.array([[True, False]]))
write("f2_4d", numpy.ones((1, 2, 1, 3), dtype="<f2"))
write("u2_long", numpy.arange(100, dtype="<u2"))
write("fortran", numpy.asfortranarray(matrix))
write("big_endian", matrix.astype(">f4"))
write("object", numpy.array([None, "x"], dtype=object))
write("structured", numpy.zeros(2, dtype=[("a", "<f4"), ("b", "<i2")]))
write("unicode", numpy.array(["abc", "d"]))
write("complex", numpy.array([1j], dtype="<c8"))
write("date", numpy.array(["2026-01-01"], dtype="<M8[D]"))
