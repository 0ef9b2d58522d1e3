// SPDX-License-Identifier: Apache-2.0
#include "libvolt/cli/render.hpp"

#include <doctest/doctest.h>

using namespace volt;

TEST_CASE("a verdict reads as one line a claim, its cost, and what nobody proved") {
  schema::Verdict verdict;
  verdict.set("signature", schema::Answer::holds, "signed by you, key 0123456789abcdef");
  verdict.set("output", schema::Answer::cannot_tell, "a single wrong element may hide");
  verdict.set("work", schema::Answer::fails, "C[0, 1] is 2, not 3");
  verdict.cost = 5;
  verdict.whole = 2000;
  verdict.unproven = {"that the work is fresh"};
  CHECK(cli::to_text(verdict) ==
        "signature  holds        signed by you, key 0123456789abcdef\n"
        "output     cannot tell  a single wrong element may hide\n"
        "work       fails        C[0, 1] is 2, not 3\n"
        "cost       0.25 % of the job's 2e+03 multiply-adds\n"
        "unproven   that the work is fresh\n");
}

TEST_CASE("a verdict that cost nothing has no cost line") {
  schema::Verdict verdict;
  verdict.set("signature", schema::Answer::fails, "altered");
  CHECK(cli::to_text(verdict) == "signature  fails        altered\n");
}
