#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints a man page: lines such as @OPTIONS@ become what the tool prints of its own tables.

usage: fill.py TEMPLATE TOOL
"""
import subprocess
import sys

FORMATS = {
    '@SYNOPSIS@': 'man-synopsis',
    '@OPTIONS@': 'man',
    '@SETTINGS@': 'man-settings',
    '@EXIT@': 'man-exit',
}

template, tool = sys.argv[1:]
for line in open(template, encoding='utf-8').read().splitlines(keepends=True):
    if line.strip() in FORMATS:
        line = subprocess.run([tool, '--dump', FORMATS[line.strip()]], check=True,
                              stdout=subprocess.PIPE, encoding='utf-8').stdout
    sys.stdout.buffer.write(line.encode())
