// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

/// What `gpu-run example` prints. The tests run it as it stands.
namespace example {

inline constexpr std::string_view matmul =
    R"(# A product of two matrices: C = A * B. Run it with: gpu-run job.toml
schema = "volt.job/1"
name = "product"            # the run folder becomes product.run
workload = "matmul"

[matmul]
# An operand is a file below this job's folder ("a.npy", or one tensor of a .safetensors file:
# { path = "w.safetensors", tensor = "w" }), a download ({ url = "https://...", sha256 = "..." }),
# an output of an earlier run ({ run = "first.run", file = "c.npy" }), or made from a seed:
a = { seed = 1, shape = [512, 1024] }
b = { seed = 2, shape = [1024, 256] }
out = "c.npy"
profile = "f32x"            # f32x: exact fp32; i8x: int8 in scaled groups; i8: integers
# transpose_b = true        # b is stored as [columns, rows]
# image = "c.pgm"           # also write C as a grey picture

[limits]
time = "10m"                # the same command goes on where a stopped run was

[proof]
level = "L2"                # L0: digests; L2: sampled replay; L4: algebra (i8); all: every element
catch = 0.01                # catch one wrong element in a hundred ...
error = 1e-12               # ... but for this chance
)";

inline constexpr std::string_view command =
    R"(# Any program, in a sandbox. Run it with: gpu-run job.toml
schema = "volt.job/1"
name = "hello"              # the run folder becomes hello.run
workload = "command"

[command]
argv = ["sh", "-c", "echo hello, $NAME; seq 1 100 | awk '{ s += $1 } END { print s }' > sum.txt"]
outputs = ["sum.txt"]       # patterns such as "model.bin", "logs/*.txt", "out/**"; each must match
# optional = ["*.png"]      # these may match nothing
env = { NAME = "volt" }
# secrets = ["HF_TOKEN"]    # names only; values come from your environment, or --secret NAME=FILE

# What the program finds in its working folder, read-only: files and folders below this job's
# folder, downloads ({ url = "https://...", sha256 = "..." }), outputs of earlier runs
# ({ run = "first.run", file = "c.npy" }); {} is to be bound by --input NAME=PATH.
# inputs = { "train.py" = "train.py", "data/train.csv" = "census.csv", src = "src" }

# [resources]
# gpus = 1

[limits]
time = "10m"
memory = "4 GB"             # of all its processes together
disk = "10 GB"              # of all that it writes
processes = 512             # threads count as well
network = false             # true lets it use the network
)";

}  // namespace example
