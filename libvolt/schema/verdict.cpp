// SPDX-License-Identifier: Apache-2.0
#include "libvolt/schema/verdict.hpp"

#include <algorithm>

namespace volt::schema {

std::string_view to_text(Answer answer) {
  switch (answer) {
    case Answer::holds:
      return "holds";
    case Answer::consistent:
      return "consistent within tolerance";
    case Answer::fails:
      return "fails";
    case Answer::cannot_tell:
      break;
  }
  return "cannot tell";
}

void Verdict::set(std::string_view name, Answer answer, std::string why) {
  for (auto& claim : claims) {
    if (claim.name != name) continue;
    claim.answer = answer;
    claim.why = std::move(why);
    return;
  }
  claims.emplace_back(Claim{std::string(name), answer, std::move(why)});
}

const Claim* Verdict::find(std::string_view name) const {
  const auto found = std::find_if(claims.begin(), claims.end(),
                                  [&](const Claim& claim) { return claim.name == name; });
  return found == claims.end() ? nullptr : &*found;
}

bool Verdict::failed() const {
  return std::any_of(claims.begin(), claims.end(),
                     [](const Claim& claim) { return claim.answer == Answer::fails; });
}

Exit Verdict::exit(Demand demand) const {
  if (failed()) return Exit::verification_failed;
  const auto holds = [&](std::string_view name) {
    const auto* claim = find(name);
    return claim != nullptr && claim->answer == Answer::holds;
  };
  bool enough = holds("signature") && holds("job");
  if (demand == Demand::identity) enough = enough && holds("files");
  if (demand == Demand::work) enough = enough && holds("work");
  if (demand == Demand::output) enough = enough && holds("output");
  return enough ? Exit::ok : Exit::cannot_tell;
}

doc::Value::Object to_members(const Verdict& verdict) {
  doc::Value::Array claims;
  for (const auto& claim : verdict.claims) {
    claims.push_back(doc::Value::Object{
        {"claim", claim.name}, {"answer", to_text(claim.answer)}, {"why", claim.why}});
  }
  doc::Value::Array unproven(verdict.unproven.begin(), verdict.unproven.end());
  doc::Value::Object members{{"schema", verdict_schema},       {"receipt_sha256", verdict.receipt},
                             {"signer", verdict.signer},       {"signer_name", verdict.signer_name},
                             {"level", verdict.level},         {"claims", std::move(claims)},
                             {"unproven", std::move(unproven)}};
  if (verdict.whole > 0) {
    members.emplace_back("multiply_adds", verdict.cost);
    members.emplace_back("multiply_adds_of_job", verdict.whole);
  }
  return members;
}

}  // namespace volt::schema
