#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes left.npy and right.npy: the portrait as a product of two matrices of rank 64.

Needs numpy, pillow and scikit-image (which carries the photograph).

usage: factor.py FOLDER
"""
import pathlib
import sys

import numpy
from PIL import Image
import skimage

RANK = 64
photo = pathlib.Path(skimage.__file__).parent / 'data' / 'astronaut.png'
grey = Image.open(photo).convert('L').crop((60, 0, 400, 340))
u, s, v = numpy.linalg.svd(numpy.asarray(grey, dtype='f8'), full_matrices=False)
root = numpy.sqrt(s[:RANK])
out = pathlib.Path(sys.argv[1])
numpy.save(out / 'left.npy', (u[:, :RANK] * root).astype('<f4'))
numpy.save(out / 'right.npy', (root[:, None] * v[:RANK]).astype('<f4'))
