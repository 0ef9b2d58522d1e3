// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/outputs.hpp"
