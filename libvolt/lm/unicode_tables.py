#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes unicode_tables.cpp: what the tokenizers of language models ask of a character.

The reference, the `tokenizers` library (0.23.3), takes its answers from four places that follow
different versions of Unicode, and ids must be equal to its ids:

  \\p{L}, \\p{N}   Oniguruma                             16.0
  is_numeric     the Rust standard library             17.0
  \\w             the regex crate                       16.0
  NFC            unicode-normalization-alignments      some years older: the reference is asked
                                                       which characters it knows

usage: pip install tokenizers==0.23.3
       pip install --target v16 unicodedata2==16.0.0; pip install --target v17 unicodedata2==17.0.0
       unicode_tables.py v16 v17 > unicode_tables.cpp
"""
import importlib
import sys

from tokenizers import normalizers


def unicode_data(folder, version):
    sys.modules.pop('unicodedata2', None)
    sys.path.insert(0, folder)
    module = importlib.import_module('unicodedata2')
    sys.path.pop(0)
    assert module.unidata_version == version, module.unidata_version
    return module


V16 = unicode_data(sys.argv[1], '16.0.0')
V17 = unicode_data(sys.argv[2], '17.0.0')
CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
LETTER, NUMBER, NUMERIC, WORD = 1, 2, 4, 8
# Other_Alphabetic that is no mark, which unicodedata does not tell: circled and squared letters.
ALPHABETIC_SYMBOLS = [(0x24B6, 0x24E9), (0x1F130, 0x1F149), (0x1F150, 0x1F169), (0x1F170, 0x1F189)]


def classes(c):
    category = V16.category(chr(c))
    word = (category[0] in 'LM' or category in ('Nd', 'Nl', 'Pc') or c in (0x200C, 0x200D) or
            any(first <= c <= last for first, last in ALPHABETIC_SYMBOLS))
    return (LETTER * (category[0] == 'L') | NUMBER * (category[0] == 'N') |
            NUMERIC * (V17.category(chr(c))[0] == 'N') | WORD * word)


def ranges(value_of):
    """(first, last, value) of every run of characters that have the same value other than 0."""
    found = []
    for c in CODES:
        value = value_of(c)
        if not value:
            continue
        if found and found[-1][1] == c - 1 and found[-1][2] == value:
            found[-1] = (found[-1][0], c, value)
        else:
            found.append((c, c, value))
    return found


def nfc(text):
    return normalizers.NFC().normalize_str(text)


def combining_class(c):
    """0 as well for a mark that the reference does not move before U+0345, whose class of 240 is
    the largest."""
    value = V16.combining(chr(c))
    text = '\u0345' + chr(c)
    return value if nfc(text) == V16.normalize('NFC', text) else 0


def canonical(c):
    """The one or two characters that c is canonically equivalent to."""
    fields = V16.decomposition(chr(c)).split()
    if not fields or fields[0].startswith('<'):
        return None
    parts = [int(x, 16) for x in fields]
    text = ''.join(map(chr, parts))
    return parts if nfc(text) == V16.normalize('NFC', text) else None


def table(kind, name, rows):
    lines = [f'constexpr std::array<{kind}, {len(rows)}> {name}_data{{{{']
    line = '   '
    for row in rows:
        cell = ' {' + ', '.join(hex(x) for x in row) + '},'
        if len(line) + len(cell) > 100:
            lines.append(line)
            line = '   '
        line += cell
    return '\n'.join([*lines, line, '}};'])


def main():
    decompositions, compositions = [], []
    for c in CODES:
        parts = canonical(c)
        if parts is None:
            continue
        decompositions.append((c, *parts, *([0] if len(parts) == 1 else [])))
        if V16.normalize('NFC', chr(c)) == chr(c):
            compositions.append((*parts, c))
    composed = {row[0] for row in decompositions}
    assert not any(row[2] in composed for row in decompositions), 'nfc.cpp counts on that'
    print('''// SPDX-License-Identifier: Apache-2.0
// Made by unicode_tables.py from the Unicode Character Database, 16.0 and 17.0; not to be edited.
#include "libvolt/lm/unicode_tables.hpp"

#include <array>

namespace volt::lm {
namespace {

// clang-format off''')
    print(table('ClassRange', 'classes', ranges(classes)))
    print(table('CombiningRange', 'combining', ranges(combining_class)))
    print(table('Decomposition', 'decompositions', decompositions))
    print(table('Composition', 'compositions', sorted(compositions)))
    print('''// clang-format on

}  // namespace

constinit const std::span<const ClassRange> class_ranges = classes_data;
constinit const std::span<const CombiningRange> combining_ranges = combining_data;
constinit const std::span<const Decomposition> decompositions = decompositions_data;
constinit const std::span<const Composition> compositions = compositions_data;

}  // namespace volt::lm''')


main()
