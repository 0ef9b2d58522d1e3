// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "libvolt/crypto/key_store.hpp"
#include "libvolt/device/device.hpp"
#include "libvolt/inputs/inputs.hpp"
#include "libvolt/run/worker.hpp"

/// For a verifier without the outputs: the verifier's challenge, and the prover's answer.
namespace volt::run {

/// The envelope of a fresh challenge, signed with the own key. The receipt is remembered in `seen`,
/// so that it cannot be withdrawn once the draw is known. Throws Error (verification_failed) when
/// its signer gave another result before.
std::string make_challenge(const host::Path& receipt, std::optional<std::uint64_t> draws,
                           crypto::KeyStore& keys, const host::Path& seen);

/// Answers a challenge to the run in `folder`: writes the proof to `out`, after telling its size.
/// Data pages show the job's data. Returns the bytes written.
std::uint64_t prove(const host::Path& folder, const host::Path& challenge, int out,
                    const device::Wanted& device, const inputs::Places& places, Sink& sink,
                    const Interrupt& interrupt);

}  // namespace volt::run
