# SPDX-License-Identifier: Apache-2.0
"""What is forged, and how it must be refused: the tables of bad_test.py.

Each case says which good run is forged how, what gpu-verify is asked, its exit status, and words of
the reason that it must give ("|" between alternatives). The forgeries themselves are in
forge_*.cpp: each keeps right every digest that its cheat could have made right, and is signed with
the prover's key.
"""

OK, USAGE, REFUSED, OPEN = 0, 2, 11, 16

# Good runs. `wide` has so many elements that the usual sample seldom meets one wrong one.
JOBS = {
    "wide": ("f32x", "{ seed = 1, shape = [1024, 16] }", "{ seed = 2, shape = [16, 1024] }", "",
             ""),
    "weak": ("f32x", "{ seed = 1, shape = [1024, 16] }", "{ seed = 2, shape = [16, 1024] }", "",
             'level = "L0"\ncatch = 1\nerror = 0.5'),
    "tall": ("f32x", "{ seed = 3, shape = [96, 512] }", "{ seed = 4, shape = [512, 80] }", "", ""),
    "ints": ("i8", "{ seed = 5, shape = [128, 200] }", "{ seed = 6, shape = [200, 96] }", "",
             'level = "L4"'),
    "group": ("i8x", "{ seed = 7, shape = [48, 300] }", "{ seed = 8, shape = [300, 40] }",
              'image = "c.pgm"', 'level = "all"'),
    "files": ("f32x", '"a.npy"', '"b.npy"', "transpose_b = true", ""),
    "pinned": ("f32x", '{ path = "a.npy", sha256 = "%(a)s" }',
               '{ path = "b.npy", sha256 = "%(b)s" }',
               "transpose_b = true", ""),
    "special": ("f32x", '"nan.npy"', '"inf.npy"', "", 'level = "all"'),
    "small": ("f32x", "{ seed = 9, shape = [8, 8] }", "{ seed = 10, shape = [8, 8] }", "", ""),
    "other": ("f32x", "{ seed = 11, shape = [8, 8] }", "{ seed = 12, shape = [8, 8] }", "", ""),
    "chain": ("f32x", '{ run = "small.run", file = "c.npy" }', "{ seed = 13, shape = [8, 8] }", "",
              ""),
}

SIGNATURE = "signature of {receipt} is not valid"

# forgery, good run, [(what gpu-verify is asked, exit status, words of its answer), ...]
CASES = [
    # Nothing is forged: what the answers look like then.
    ("same", "wide", [("", OK, "drawn elements computed again, all right"),
                      ("", OK, "output cannot tell a single wrong element"),
                      ("", OK, "unknown signer, key"),
                      ("", OK, "unproven device, times, memory, sandbox and tool: as the signer"),
                      ("--level L0", OPEN, "work cannot tell not examined at level L0"),
                      ("--level L4", USAGE, "level L4 needs the profile i8, not f32x"),
                      ("--all", OK, "output holds all 1048576 elements")]),
    ("same", "tall", [("", OK, "work holds")]),
    ("same", "ints", [("", OK, "output holds A(Br) = Cr"),
                      ("--level L2", OPEN, "output cannot tell")]),
    ("same", "group", [("", OK, "output holds all 1920 elements"),
                       ("--level L0", OPEN, "not examined")]),
    ("same", "files",
     [("", OK, "inputs cannot tell a as the prover claims; b as the prover claims"),
                       ("", OK, "unproven that unpinned inputs are what you think")]),
    ("same", "pinned", [("", OK, "inputs holds a as the job pins; b as the job pins")]),
    ("same", "special", [("", OK, "output holds")]),
    ("same", "small", [("", OK, "output holds all 64 elements")]),
    ("same", "chain", [("", OK, "output holds")]),

    # One flipped bit.
    ("bit-of-output", "wide",
     [("--level L0", REFUSED, "c.npy is not the file that the receipt names"),
                               ("", REFUSED, "c.npy is not the file that the receipt names")]),
    ("bit-of-image", "group", [("", REFUSED, "c.pgm is not the file that the receipt names")]),
    ("bit-of-job", "small", [("", REFUSED, "job.json is not the job that the receipt names")]),
    ("bit-of-payload", "small", [("", REFUSED, SIGNATURE)]),
    ("bit-of-signature", "small", [("", REFUSED, SIGNATURE)]),

    # Edited under a valid old signature, or with another's.
    ("edited-job", "small", [("", REFUSED, SIGNATURE)]),
    ("edited-input", "small", [("", REFUSED, SIGNATURE)]),
    ("edited-output", "small", [("", REFUSED, SIGNATURE)]),
    ("edited-profile", "small", [("", REFUSED, SIGNATURE)]),
    ("edited-device", "small", [("", REFUSED, SIGNATURE)]),
    ("edited-times", "small", [("", REFUSED, SIGNATURE)]),
    ("foreign-signature", "small", [("", REFUSED, SIGNATURE)]),
    ("foreign-signer", "small", [("", REFUSED, SIGNATURE)]),

    # Committed by the prover itself. One wrong element: only whoever looks at all of them knows.
    ("one-wrong", "wide", [("", OK, "output cannot tell a single wrong element")] * 5
     + [("--all", REFUSED, "output fails C[341, 341] is"),
        ("--all", REFUSED, "work cannot tell at least one element is wrong")]),
    ("one-wrong", "ints",
     [("", REFUSED, "output fails C["), ("--all", REFUSED, "output fails C[")]),
    ("one-wrong", "group", [("", REFUSED, "output fails C[")]),
    ("one-wrong", "special", [("", REFUSED, "output fails C[")]),
    ("balanced-errors", "ints", [("", REFUSED, "output fails C[0, 0] is")]),
    ("balanced-errors", "wide", [("--all", REFUSED, "output fails C[0, 0] is")]),

    # Another arithmetic, sold as the job's: a sample refuses, most elements differ.
    ("bf16", "tall", [("", REFUSED, "work fails C[")]),
    ("tf32", "tall", [("", REFUSED, "work fails C[")]),
    ("fp16", "tall", [("", REFUSED, "work fails C[")]),
    ("descending", "tall", [("", REFUSED, "work fails C[")]),
    ("pairwise", "tall", [("", REFUSED, "work fails C[")]),
    ("split-k", "tall", [("", REFUSED, "work fails C[")]),
    ("unfused", "tall", [("", REFUSED, "work fails C[")]),
    ("in-double", "tall", [("", REFUSED, "work fails C[")]),
    ("as-i8x", "tall", [("", REFUSED, "work fails C[")]),
    ("as-f32x", "group", [("", REFUSED, "output fails C[")]),
    ("clamped", "ints", [("", REFUSED, "output fails C["), ("--all", REFUSED, "output fails C[")]),

    # Less work than the job's.
    ("rank-one", "wide", [("", REFUSED, "work fails C[")]),
    ("half-zero", "wide", [("", REFUSED, "work fails C[")]),
    ("half-zero", "weak", [("", REFUSED, "work fails C["),
                           ("--level L0", OK, "work cannot tell not examined at level L0")]),
    ("half-zero", "ints", [("", REFUSED, "output fails C[64, ")]),
    ("swapped-tiles", "tall", [("", REFUSED, "work fails C[")]),
    ("repeated-row", "wide", [("", REFUSED, "work fails C[")]),
    ("repeated-row", "ints", [("", REFUSED, "output fails C[1, ")]),
    ("of-other-seed", "tall", [("", REFUSED, "work fails C[")]),
    ("of-hankel", "tall", [("", REFUSED, "work fails C[")]),
    ("hankel-as-seed", "tall",
     [("", REFUSED, "input a has other elements than the receipt names")]),

    # One NaN, one zero.
    ("nan-payload", "special", [("", REFUSED, "(0x7fc00001), not nan (0x7fc00000)")]),
    ("nan-sign", "special", [("", REFUSED, "(0xffc00000), not nan (0x7fc00000)")]),
    ("nan-for-infinity", "special", [("", REFUSED, "is nan (0x7fc00000), not")]),
    ("minus-zero", "special", [("", REFUSED, "is -0 (0x80000000), not 0 (0x00000000)")]),

    # Altered before signing, and not checked: the verdict says so.
    ("false-device", "wide",
     [("", OK, "device, times, memory, sandbox and tool: as the signer says")]),
    ("false-times", "wide",
     [("", OK, "device, times, memory, sandbox and tool: as the signer says")]),
    ("second-attempt", "wide", [("", OK, "attempt 2")]),

    # A receipt that is not the job's.
    ("fewer-units", "wide", [("", REFUSED, "counts 524288 units, but the job has 1048576")]),
    ("more-units", "wide", [("", REFUSED, "counts 2097152 units, but the job has 1048576")]),
    ("no-units", "wide", [("", REFUSED, "counts 0 units, but the job has 1048576")]),
    ("attempt-zero", "small", [("", REFUSED, "attempts count from 1")]),
    ("other-trace", "small", [("", REFUSED, "its trace is not that of its output")]),
    ("other-profile", "small", [("", REFUSED, "the profile is i8/1, but the job says f32x"),
                                ("--level L4", REFUSED, "the profile is i8/1")]),
    ("other-workload", "small", [("", REFUSED, "the workload generate/1 is not matmul/1")]),
    ("other-seed", "small", [("", REFUSED, "input a is not made as the job says")]),
    ("other-dtype", "tall", [("", REFUSED, "its output is not a tensor as the job gives")]),
    ("other-shape", "tall", [("", REFUSED, "its output is not a tensor as the job gives")]),
    ("other-input-shape", "tall", [("", REFUSED, "input a has not the job's shape")]),
    ("fewer-rows", "files", [("", REFUSED, "input a has other elements than the receipt names")]),
    ("no-input", "small", [("", REFUSED, "it has not the job's inputs")]),
    ("third-input", "small", [("", REFUSED, "it has not the job's inputs")]),
    ("input-twice", "small", [("", REFUSED, "predicate.inputs names one thing twice")]),
    ("no-image", "group", [("", REFUSED, "it has not the job's outputs")]),
    ("other-image", "group", [("", REFUSED, "c.pgm is not the picture of the output")]),
    ("output-above", "small", [("", REFUSED, "subject[0].name is no plain file name")]),
    ("output-hidden", "small", [("", REFUSED, "subject[0].name is a name that volt uses itself")]),
    ("no-source-receipt", "chain", [("", REFUSED, "does not name the receipt of the run")]),
    ("job-other-seed", "small", [("", REFUSED, "input a is not made as the job says")]),
    ("job-other-rows", "small", [("", REFUSED, "input a has not the job's shape")]),
    ("job-other-profile", "small", [("", REFUSED, "the profile is f32x/1, but the job says i8x")]),
    ("job-transposed", "tall", [("", REFUSED, "a and b do not fit")]),
    ("job-other-out", "small", [("", REFUSED, "it has not the job's outputs")]),
    ("job-needs-l4", "small", [("", REFUSED, "needs the profile i8, not f32x")]),

    # Inputs.
    ("other-input", "files", [("", OK, "a as the prover claims")]),
    ("other-input", "pinned", [("", REFUSED, "input a is not the file that the job pins")]),
    ("other-input-relabelled", "pinned",
     [("", REFUSED, "input a has other elements than the receipt names"),
      ("--all", REFUSED, "input a has other elements than the receipt names")]),
    ("other-input-relabelled", "files",
     [("", REFUSED, "input a has other elements than the receipt names")]),
    ("input-root", "files", [("", REFUSED, "input a has other elements than the receipt names")]),
    ("input-root", "tall", [("", REFUSED, "input a has other elements than the receipt names")]),

    # Trees by other rules than RFC 9162's.
    ("duplicated-node", "tall", [("", REFUSED, "the output has other elements than the receipt")]),
    ("node-as-leaf", "tall", [("", REFUSED, "the output has other elements than the receipt")]),
    ("unmarked-leaves", "tall", [("", REFUSED, "the output has other elements than the receipt")]),

    # Output files that are not what a job's c.npy is.
    ("file-dtype", "tall",
     [("", REFUSED, "the output is i32 [96, 80], but the job gives f32 [96, 80]")]),
    ("file-fortran", "tall",
     [("", REFUSED, "output fails c.npy: array is in Fortran order")]),
    ("file-truncated", "tall", [("", REFUSED, "output fails c.npy: file")]),
    ("file-trailing", "tall", [("", REFUSED, "output fails c.npy: file")]),
    ("file-safetensors", "tall", [("", REFUSED, "c.npy")]),
    ("file-missing", "small", [("", OPEN, "c.npy not beside the receipt")]),
    ("job-missing", "small", [("", OPEN, "job.json does not lie beside the receipt")]),

    # Notes are hints of where to look, and nothing hangs on them.
    ("notes-hostile", "files", [("", OK, "work holds")]),
    ("notes-deep", "files", [("", OK, "work holds")]),

    # Documents that no honest tool writes, with a valid signature.
    ("payload-spaced", "small", [("", REFUSED, "is not in canonical form")]),
    ("payload-other-order", "small", [("", REFUSED, "is not in canonical form")]),
    ("payload-twice", "small", [("", REFUSED, 'the key "_type" is there twice')]),
    ("payload-deep", "small", [("", REFUSED, "nested deeper than")]),
    ("payload-long", "small", [("", REFUSED, "more than the 1048576")]),
    ("payload-truncated", "small", [("", REFUSED, "ends too early|not valid JSON")]),
    ("payload-trailing", "small", [("", REFUSED, "text after the end of the document")]),
    ("payload-empty", "small", [("", REFUSED, "ends too early")]),
    ("payload-nul", "small", [("", REFUSED, "has a NUL character")]),
    ("payload-not-utf8", "small", [("", REFUSED, "not UTF-8")]),
    ("payload-unknown-member", "small", [("", REFUSED, 'unknown key "predicate.a_checked"')]),
    ("payload-not-required", "small",
     [("", REFUSED, 'unknown key "predicate.trace.z_not_required"')]),
    ("payload-escape", "small", [("", REFUSED, r'unknown key "predicate.a\x1b')]),
    ("payload-real-units", "small",
     [("", REFUSED, "predicate.trace.units is a number, not a whole")]),
    ("payload-huge-units", "small", [("", REFUSED, "predicate.trace.units is 9007199254740993")]),
    ("payload-not-hex", "small", [("", REFUSED, "not 64 lower-case hex digits")]),
    ("payload-other-schema", "small", [("", REFUSED, 'predicate.schema is not "volt.receipt/1"')]),
    ("payload-other-predicate", "small", [("", REFUSED, "predicateType is no receipt of volt")]),
    ("payload-other-statement", "small", [("", REFUSED, "_type is not an in-toto statement")]),
    ("seed-and-digest", "small",
     [("", REFUSED, 'unknown key "predicate.inputs[0].digest.sha256"')]),
    ("envelope-truncated", "small", [("", REFUSED, "ends too early|not valid JSON")]),
    ("envelope-trailing", "small", [("", REFUSED, "text after the end of the document")]),
    ("envelope-empty", "small", [("", REFUSED, "ends too early")]),
    ("envelope-twice", "small", [("", REFUSED, 'the key "payloadType" is there twice')]),
    ("envelope-deep", "small", [("", REFUSED, "nested deeper than 3 levels")]),
    ("envelope-long", "small", [("", REFUSED, "more than")]),
    ("envelope-unknown-member", "small", [("", REFUSED, 'unknown key "checked"')]),
    ("envelope-other-type", "small", [("", REFUSED, "is an envelope of another kind")]),
    ("envelope-loose-base64", "small", [("", REFUSED, "is not canonical base64")]),
    ("envelope-unsigned", "small", [("", REFUSED, "signatures has 0 entries")]),
    ("envelope-many-signatures", "small", [("", REFUSED, "signatures has 17 entries")]),
    ("challenge-as-receipt", "small", [("", REFUSED, "predicateType is no receipt of volt")]),
    # Another spelling of the same job has another digest: it would allow a second first attempt.
    ("job-spaced", "small", [("", REFUSED, "is not a resolved job in canonical form")]),
    ("job-unresolved", "small", [("", REFUSED, "is not a resolved job in canonical form")]),
    ("job-twice", "small", [("", REFUSED, 'the key "schema" is there twice')]),
    ("job-deep", "small", [("", REFUSED, "nested deeper than 16 levels")]),
    ("job-long", "small", [("", REFUSED, "more than")]),
    ("job-truncated", "small", [("", REFUSED, "ends too early|not valid JSON")]),
    ("job-trailing", "small", [("", REFUSED, "text after the end of the document")]),
    ("job-unknown-member", "small", [("", REFUSED, 'unknown key "not_required"')]),
]

# The verifier has the receipt and the job only; challenge and proof are forged.
# forgery of the proof, the good run, exit status, words
PROOFS = [
    ("proof-good", "files", OPEN, "work cannot tell 7 drawn elements"),
    ("proof-good", "tall", OK, "work holds"),
    ("proof-good", "ints", OPEN, "output cannot tell"),
    ("proof-empty", "files", REFUSED, "the proof has no header line"),
    ("proof-no-header", "files", REFUSED, "the proof has no header line"),
    ("proof-header-unknown", "files", REFUSED, 'unknown key "0"'),
    ("proof-header-only", "files", REFUSED, "the proof ends too early"),
    ("proof-truncated", "files", REFUSED, "the proof ends too early"),
    ("proof-trailing", "files", REFUSED, "the proof goes on after its end"),
    ("proof-trailing", "tall", REFUSED, "the proof goes on after its end"),
    ("proof-of-other-receipt", "files", REFUSED, "the proof is of another receipt"),
    ("proof-a-by-seed", "files", REFUSED, "the job has no seed for input a"),
    ("proof-a-whole", "tall", REFUSED, "the proof ends too early|which the receipt does not allow"),
    ("proof-a-whole", "files", REFUSED, "the proof ends too early"),
    ("proof-a-nowhere", "files", REFUSED, 'not one of "pages", "whole", "seed"'),
    ("proof-page-of-c", "files", REFUSED, "the opened pages of C do not lead to the receipt"),
    ("proof-last-byte", "files", REFUSED, "the opened pages of b do not lead to the receipt"),
    ("proof-swapped-pages", "files", REFUSED, "the opened pages of C do not lead"),
    ("proof-swapped-nodes", "files", REFUSED, "the opened pages of C do not lead"),
    ("proof-duplicated-node", "files", REFUSED, "do not lead to the receipt's root"),
    ("proof-node-as-leaf", "files", REFUSED, "the opened pages of C do not lead"),
]

# Challenges that the prover made, or the verifier for something else; with a proof that answers.
# forgery, whose key signs it, exit status, words
CHALLENGES = [
    ("challenge-good", "prover", REFUSED, "the challenge is not one of yours"),
    ("challenge-ground", "prover", REFUSED, "the challenge is not one of yours"),
    ("challenge-zero-nonce", "prover", REFUSED, "the challenge is not one of yours"),
    ("challenge-time-nonce", "prover", REFUSED, "the challenge is not one of yours"),
    ("challenge-short-nonce", "prover", REFUSED, "not 64 lower-case hex digits"),
    ("challenge-edited", "prover", REFUSED, "is not valid (it was altered"),
    ("challenge-truncated", "prover", REFUSED, "ends too early|not valid JSON"),
    ("challenge-short-nonce", "verifier", REFUSED, "predicate.nonce is"),
    ("challenge-lacking-input", "verifier", REFUSED, "seed does not follow from its nonce"),
    ("challenge-chosen-seed", "verifier", REFUSED, "seed does not follow from its nonce"),
    ("challenge-no-draws", "verifier", REFUSED, "predicate.draws is 0, not from 1"),
    ("challenge-huge-draws", "verifier", REFUSED, "predicate.draws is 1000001, not from 1"),
]

# A forged run, and an honest proof of it to the verifier's challenge.
PROVEN = [
    ("descending", "tall", REFUSED, "work fails C["),
    ("bf16", "tall", REFUSED, "work fails C["),
    ("half-zero", "wide", REFUSED, "work fails C["),
    ("one-wrong", "wide", OK, "output cannot tell"),
    ("other-input", "files", OK, "a as the prover claims"),
]

# What gpu-run prove must not answer: forgery of the challenge, words.
UNANSWERED = [
    ("challenge-lacking-input", "seed does not follow from its nonce"),
    ("challenge-chosen-seed", "seed does not follow from its nonce"),
    ("challenge-short-nonce", "predicate.nonce is"),
    ("challenge-edited", "the signature of"),
]

# Receipts that one verifier sees one after the other: [(forgery, exit status, words), ...]
HISTORIES = {
    "the same twice": ("wide", [("same", OK, "work holds"), ("same", OK, "work holds")]),
    "the same, signed again":
        ("wide", [("same", OK, "work holds"), ("false-times", OK, "work holds")]),
    "a wrong one after a right one":
        ("wide", [("same", OK, "work holds"),
                  ("one-wrong", REFUSED, "another result for attempt 1 of this job")]),
    "a right one after a wrong one that passed":
        ("wide", [("one-wrong", OK, "work holds"),
                  ("same", REFUSED, "another result for attempt 1 of this job")]),
    "a right one after one that failed":
        ("wide", [("half-zero", REFUSED, "work fails"),
                  ("same", REFUSED, "another result for attempt 1 of this job")]),
    "a second attempt after one that failed":
        ("wide", [("half-zero", REFUSED, "work fails"), ("second-attempt", OK, "attempt 2")]),
    "a right one after one whose signature is wrong":
        ("wide", [("bit-of-payload", REFUSED, SIGNATURE), ("same", OK, "work holds")]),
}
