// SPDX-License-Identifier: Apache-2.0
#include "libvolt/schema/verdict.hpp"

#include <doctest/doctest.h>

#include "libvolt/doc/read.hpp"

using namespace volt;
using namespace volt::schema;

TEST_CASE("the exit follows from the demand and the claims, for every combination") {
  const char* names[] = {"signature", "job", "files", "inputs", "work", "output"};
  constexpr int combinations = 5 * 5 * 5 * 5 * 5 * 5;
  for (int code = 0; code < combinations; ++code) {
    Verdict verdict;
    int answers[6];
    bool failed = false;
    for (int i = 0, rest = code; i < 6; ++i, rest /= 5) {
      answers[i] = rest % 5;  // 4: the claim is not there
      failed = failed || answers[i] == static_cast<int>(Answer::fails);
      if (answers[i] < 4) verdict.set(names[i], static_cast<Answer>(answers[i]), "why");
    }
    const bool genuine = answers[0] == 0 && answers[1] == 0;
    const std::pair<Demand, int> demands[] = {
        {Demand::identity, 2}, {Demand::work, 4}, {Demand::output, 5}};
    for (const auto& [demand, needed] : demands) {
      const Exit expected = failed                            ? Exit::verification_failed
                            : genuine && answers[needed] == 0 ? Exit::ok
                                                              : Exit::cannot_tell;
      if (verdict.exit(demand) != expected) {
        CAPTURE(code);
        const auto shown_needed = needed;
        CAPTURE(shown_needed);
        CHECK(verdict.exit(demand) == expected);
      }
    }
    if (verdict.failed() != failed) FAIL("failed() is wrong for " << code);
  }
}

TEST_CASE("work that holds is no output that holds") {
  Verdict verdict;
  for (const char* name : {"signature", "job", "files", "inputs", "work"}) {
    verdict.set(name, Answer::holds, "");
  }
  verdict.set("output", Answer::cannot_tell, "");
  CHECK(verdict.exit(Demand::work) == Exit::ok);
  CHECK(verdict.exit(Demand::output) == Exit::cannot_tell);
}

TEST_CASE("a verdict without claims tells nothing") {
  for (const auto demand : {Demand::identity, Demand::work, Demand::output}) {
    CHECK(Verdict{}.exit(demand) == Exit::cannot_tell);
  }
}

TEST_CASE("a claim is set once and then changed, in the order of the first time") {
  Verdict verdict;
  verdict.set("b", Answer::holds, "first");
  verdict.set("a", Answer::cannot_tell, "second");
  verdict.set("b", Answer::fails, "third");
  REQUIRE(verdict.claims.size() == 2);
  CHECK(verdict.claims[0].name == "b");
  CHECK(verdict.find("b")->answer == Answer::fails);
  CHECK(verdict.find("b")->why == "third");
  CHECK(verdict.find("c") == nullptr);
}

TEST_CASE("a verdict as a document") {
  Verdict verdict;
  verdict.receipt = std::string("ab");
  verdict.level = std::string("L2");
  verdict.set("work", Answer::cannot_tell, "why");
  verdict.cost = 2;
  verdict.whole = 8;
  verdict.unproven = {"freshness"};
  CHECK(doc::to_canonical_json(to_members(verdict)) ==
        R"({"claims":[{"answer":"cannot tell","claim":"work","why":"why"}],"level":"L2",)"
        R"("multiply_adds":2,"multiply_adds_of_job":8,"receipt_sha256":"ab",)"
        R"("schema":"volt.verdict/1","signer":"","signer_name":"","unproven":["freshness"]})");
  CHECK(to_text(Answer::holds) == "holds");
  CHECK(to_text(Answer::fails) == "fails");
}
