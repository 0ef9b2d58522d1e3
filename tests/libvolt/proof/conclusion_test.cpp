// SPDX-License-Identifier: Apache-2.0
#include "libvolt/proof/conclusion.hpp"

#include <doctest/doctest.h>

using namespace volt;
using proof::Examined;
using schema::Answer;

namespace {

schema::Verdict concluded(const Examined& examined) {
  schema::Verdict verdict;
  proof::conclude(verdict, examined, {});
  return verdict;
}

Answer work(const schema::Verdict& verdict) { return verdict.find("work")->answer; }
Answer output(const schema::Verdict& verdict) { return verdict.find("output")->answer; }

}  // namespace

TEST_CASE("a sample shows the work and never the output") {
  const auto verdict = concluded({Examined::How::sample, 1'000'000, 2750, 2746, {}});
  CHECK(work(verdict) == Answer::holds);
  CHECK(output(verdict) == Answer::cannot_tell);
  CHECK(verdict.find("output")->why ==
        "a single wrong element is caught with a chance of 0.275 %; --all, where the outputs are, "
        "settles it");
}

TEST_CASE("the default policy is met by 2750 draws, and by no fewer") {
  CHECK(schema::ProofPolicy().draws() == 2750);
  CHECK(work(concluded({Examined::How::sample, 1'000'000, 2749, 2749, {}})) == Answer::cannot_tell);
}

TEST_CASE("a sample does not show the work where units told that no more had to follow") {
  Examined early{Examined::How::sample, 1'000'000, 2750, 2746, {}};
  early.ended_early = true;
  CHECK(work(concluded(early)) == Answer::cannot_tell);
  CHECK(
      concluded(early).find("work")->why.ends_with("; that it had to end early only --all shows"));
  early.checked = early.units;
  CHECK(work(concluded(early)) == Answer::holds);
}

TEST_CASE("a sample that saw every unit shows the output") {
  const auto verdict = concluded({Examined::How::sample, 12, 2750, 12, {}});
  CHECK(work(verdict) == Answer::holds);
  CHECK(output(verdict) == Answer::holds);
}

TEST_CASE("what is compared within a tolerance never holds") {
  Examined whole{Examined::How::all, 12, 22, 12, {}};
  whole.exact = false;
  CHECK(work(concluded(whole)) == Answer::consistent);
  CHECK(output(concluded(whole)) == Answer::consistent);
  Examined sample{Examined::How::sample, 1'000'000, 2750, 2746, {}};
  sample.exact = false;
  CHECK(work(concluded(sample)) == Answer::consistent);
  CHECK(output(concluded(sample)) == Answer::cannot_tell);
  sample.draws = 2749;
  CHECK(work(concluded(sample)) == Answer::cannot_tell);
  schema::Verdict verdict = concluded(whole);
  for (const char* claim : {"signature", "job", "files"}) verdict.set(claim, Answer::holds, "");
  CHECK(verdict.exit(schema::Demand::identity) == Exit::ok);
  CHECK(verdict.exit(schema::Demand::work) == Exit::cannot_tell);
  CHECK(verdict.exit(schema::Demand::output) == Exit::cannot_tell);
}

TEST_CASE("a product without elements is right") {
  CHECK(output(concluded({Examined::How::sample, 0, 2750, 0, {}})) == Answer::holds);
}

TEST_CASE("a wrong element that was drawn fails both claims") {
  const auto verdict = concluded({Examined::How::sample, 100'000, 2750, 7, "C[0, 1] is 2, not 3"});
  CHECK(work(verdict) == Answer::fails);
  CHECK(output(verdict) == Answer::fails);
}

TEST_CASE("a wrong element found among all leaves open how much of the work was done") {
  for (const auto how : {Examined::How::all, Examined::How::algebra}) {
    const auto verdict = concluded({how, 100, 0, 100, "C[0, 1] is 2, not 3"});
    CHECK(work(verdict) == Answer::cannot_tell);
    CHECK(output(verdict) == Answer::fails);
    CHECK(verdict.exit(schema::Demand::work) == Exit::verification_failed);
  }
}

TEST_CASE("algebra does not say that elements were computed again") {
  const auto verdict = concluded({Examined::How::algebra, 12, 0, 12, {}});
  CHECK(output(verdict) == Answer::holds);
  CHECK(verdict.find("output")->why == "A(Br) = Cr for two random vectors, error below 1e-38");
}

TEST_CASE("a command that was run again shows what it made, and no more") {
  const auto answers = [](const proof::Rerun& rerun) {
    schema::Verdict verdict;
    conclude(verdict, rerun);
    return std::pair(verdict.find("work")->answer, verdict.find("output")->answer);
  };
  using enum schema::Answer;
  CHECK(answers(proof::Rerun{}) == std::pair(holds, holds));
  CHECK(answers({"it failed", "", false, false}) == std::pair(cannot_tell, cannot_tell));
  // Only two runs that agree with each other contradict a receipt.
  CHECK(answers({"", "a is another file", true, false}) == std::pair(cannot_tell, fails));
  CHECK(answers({"", "a is another file", false, false}) == std::pair(cannot_tell, cannot_tell));
  CHECK(answers({"", "", false, true}) == std::pair(cannot_tell, cannot_tell));
}

TEST_CASE("a proof of every element says nothing of the files") {
  const auto verdict = concluded({Examined::How::opened, 12, 2750, 12, {}});
  CHECK(work(verdict) == Answer::holds);
  CHECK(output(verdict) == Answer::cannot_tell);
}
