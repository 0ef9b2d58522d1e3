// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libvolt/base/event.hpp"
#include "libvolt/base/hex.hpp"
#include "libvolt/device/device.hpp"
#include "libvolt/lm/folder.hpp"
#include "libvolt/schema/job.hpp"

/// The generate workload. Its units are blocks of up to 64 new tokens of a text, each a pure
/// function of the job, its inputs and the tokens before it. Runner and verifier call the same
/// code.
namespace volt::workload {

inline constexpr std::uint64_t block_tokens = 64;

/// Texts in the order of their prompts, written token by token and kept unit by unit. Only an EOS
/// token, the job's number of tokens and the model's context end a text.
class Generation {
 public:
  /// `base` and `adapter` are the files of their folders, the latter empty without one; the weights
  /// in them and `prompts`, empty where the job says the prompt itself, must outlive it. Throws
  /// Error (usage, not_found, no_device).
  Generation(const schema::Generate& job, const lm::Files& base, const lm::Files& adapter,
             ByteView prompts, device::Device& device, Sink& sink);
  ~Generation();

  std::uint64_t texts() const;
  std::uint64_t most_units() const;
  std::uint64_t units() const;  ///< so far
  std::uint64_t ended() const;  ///< texts that have their end

  /// Writes the next unit, while a text has no end, and returns its page as tokens.bin has it
  /// (volt-receipt(5)). Throws Error (answer_is_no) where the model gives no token.
  Bytes next(Sink& sink);
  /// Takes the next unit from a page instead. Returns why it cannot be that; empty: it was taken.
  std::string take(ByteView page);

  /// What a text came to.
  struct Told {
    std::string place;       ///< of its prompt: "prompts.jsonl:3"
    std::string completion;  ///< UTF-8; bytes that are none are U+FFFD
    std::uint64_t tokens = 0;
    std::string_view ended;  ///< eos, tokens or context
  };
  Told told(std::uint64_t text) const;
  /// Its line of generated.jsonl.
  std::string line(std::uint64_t text) const;

  /// Whether units, rising, have the tokens that the model gives after those before them: one pass
  /// over each text up to the last of its units. Returns what is wrong, or nothing.
  std::string check(std::span<const std::uint64_t> units, Sink& sink);
  /// What that takes: attention, as in all counts of volt, is left out.
  double multiply_adds(std::span<const std::uint64_t> units) const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace volt::workload
