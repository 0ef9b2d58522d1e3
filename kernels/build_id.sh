#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# build_id.sh FILE...: the digest of the files as a source file, which defines build_id().
set -eu
id=$(cat "$@" | sha256sum | cut -c 1-32)
cat <<END
// Made by kernels/build_id.sh.
#include "module.hpp"

const char* volt::kernels::build_id() { return "$id"; }
END
