// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "libvolt/base/error.hpp"
#include "libvolt/doc/value.hpp"
#include "libvolt/schema/job.hpp"

namespace volt::schema {

inline constexpr std::string_view verdict_schema = "volt.verdict/1";

/// `consistent`: within tolerance, which is less than holding, and settles nothing.
enum class Answer { holds, consistent, fails, cannot_tell };
std::string_view to_text(Answer answer);

/// One thing that a receipt says, and what the check made of it.
struct Claim {
  std::string name;  ///< signature, job, inputs, files, work, output, attempt
  Answer answer = Answer::cannot_tell;
  std::string why;  ///< for a person, lower case
};

/// What a verification came to. Two claims are never mixed: `work`, that the units were computed,
/// and `output`, that the result is right (volt-receipt(5)).
struct Verdict {
  std::string receipt;  ///< digest of the payload, empty when there was none to read
  std::string signer;   ///< key id
  std::string signer_name;
  std::string level;  ///< L0, L2, L4, all
  std::vector<Claim> claims;
  double cost = 0, whole = 0;         ///< multiply-adds of the check and of the job
  std::vector<std::string> unproven;  ///< always printed

  /// Adds a claim, or changes the one of that name.
  void set(std::string_view name, Answer answer, std::string why);
  const Claim* find(std::string_view name) const;
  bool failed() const;

  /// ok, verification_failed when a claim fails, cannot_tell when a demanded one is open.
  Exit exit(Demand demand) const;
};

doc::Value::Object to_members(const Verdict& verdict);

}  // namespace volt::schema
