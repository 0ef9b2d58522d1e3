// SPDX-License-Identifier: Apache-2.0

// What a worker does to check a finetune: all that follows from the job and from what its steps
// told, and some of its units once more.

#include <algorithm>
#include <memory>
#include <set>

#include "libvolt/base/error.hpp"
#include "libvolt/crypto/digest.hpp"
#include "libvolt/crypto/merkle.hpp"
#include "libvolt/doc/fields.hpp"
#include "libvolt/lm/stopping.hpp"
#include "libvolt/proof/challenge.hpp"
#include "libvolt/run/model_inputs.hpp"
#include "libvolt/run/operands.hpp"
#include "libvolt/run/tasks.hpp"
#include "libvolt/workload/finetune.hpp"
#include "libvolt/workload/finetune_difference.hpp"

namespace volt::run {
namespace {

using doc::Fields;
using doc::Source;
using doc::Value;
using workload::Finetune;
using workload::Records;

const Source source{"task", Exit::failure};

/// The first output that is not what the present state gives. Of each the digest is told of what
/// was compared: a prover could show the receipt's digest another content.
std::string foreign_result(const Finetune& finetune, const Bench& bench, const Request& request,
                           const Say& say) {
  for (const auto& name : bench.job().finetune.results()) {
    const int fd = request.file(name);
    std::uint64_t at = 0;
    bool same = true;
    crypto::Sha256 hash;
    finetune.put_output(name, [&](ByteView bytes) {
      Bytes claimed(same ? bytes.size() : 0);
      same = same && host::read_at(fd, at, claimed.data(), claimed.size()) == claimed.size() &&
             std::ranges::equal(claimed, bytes);
      hash.update(claimed);
      at += bytes.size();
    });
    if (!same || host::stamp_of(fd).bytes != at) return name;
    ModelInputs::tell_digest(name, hash.finish(), say);
  }
  return {};
}

/// The records that a states.bin of `size` bytes has. Throws Error (verification_failed) unless the
/// job can give as many.
Records records_in(std::uint64_t size, const Records& most, bool may_end_early) {
  const std::uint64_t each = most.record_bytes();
  if (size == most.bytes()) return most;
  const std::string given = "states.bin has " + std::to_string(size) + " bytes, but the job gives ";
  if (!may_end_early) {
    throw Error(Exit::verification_failed, given + std::to_string(most.bytes()));
  }
  if (size > most.bytes() || size % each != 0 || size < 2 * each) {
    throw Error(Exit::verification_failed, given + std::to_string(each) + " for each state, of " +
                                               "which there are 2 to " +
                                               std::to_string(most.units + 1));
  }
  return most.until(size / each - 1);
}

/// What a receipt leaves out, such as a tokenizer, is a mistake of the receipt.
std::unique_ptr<Finetune> finetune_of(Bench& bench, const ModelInputs& inputs, Sink& sink) {
  try {
    auto made = std::make_unique<Finetune>(bench.job(), inputs.model_folder(bench.job()),
                                           inputs.file("data"), bench.device(), sink);
    made->build();
    inputs.release();
    return made;
  } catch (const Error& error) {
    if (error.code() != Exit::not_found) throw;
    throw Error(Exit::verification_failed, error.message(), error.hint());
  }
}

/// The states that a receipt names, of which one or two are in memory. A prover who can still write
/// to the file could show each look another content: all are held against the digests of the first,
/// whose digest as a file is told.
class ClaimedStates {
 public:
  ClaimedStates(Bench& bench, int fd, const Records& records, Sink& sink, const Say& say)
      : bench_(bench), fd_(fd), records_(records) {
    crypto::Sha256 hash;
    for (std::uint64_t index = 0; index <= records.units; ++index) {
      const Bytes record = read(index);
      hash.update(record);
      const auto pages = bench.leaves(record, "the states");
      pages_.insert(pages_.end(), pages.begin(), pages.end());
      sink.send(Progress{"digest of the states", index, records.units, "states"});
    }
    ModelInputs::tell_digest("states.bin", hash.finish(), say);
  }

  const std::vector<Digest>& pages() const { return pages_; }
  Bytes record(std::uint64_t index) const {
    Bytes bytes = read(index);
    const auto pages = bench_.leaves(bytes, "the states");
    if (!std::equal(pages.begin(), pages.end(),
                    pages_.begin() + static_cast<std::ptrdiff_t>(index * pages.size()))) {
      throw Error(Exit::verification_failed, "states.bin was changed while it was examined");
    }
    return bytes;
  }

 private:
  Bytes read(std::uint64_t index) const {
    Bytes record(records_.record_bytes());
    if (host::read_at(fd_, index * record.size(), record.data(), record.size()) != record.size()) {
      throw Error(Exit::verification_failed, "states.bin was changed while it was examined");
    }
    return record;
  }

  Bench& bench_;
  const int fd_;
  const Records records_;
  std::vector<Digest> pages_;
};

/// What its units told, unit by unit.
struct Tellings {
  std::string mismatch;               ///< what of it is not as the job, or earlier units, give it
  std::vector<std::uint64_t> tokens;  ///< of each unit
  std::uint64_t published;            ///< the unit whose state gives the outputs
};

Tellings hear(Finetune& finetune, const ClaimedStates& states, const Records& records,
              const schema::StopRule& rule) {
  Tellings all{{}, {}, records.units};
  lm::Stopping stopping(rule);
  Bytes before = states.record(0);
  all.mismatch = finetune.contradiction(before, before, 0);
  for (std::uint64_t unit = 1; unit <= records.units && all.mismatch.empty(); ++unit) {
    Bytes record = states.record(unit);
    all.mismatch = finetune.contradiction(before, record, unit);
    const auto told = finetune.told_in(record, unit);
    std::uint64_t tokens = 0;
    for (const auto& step : told.steps) tokens += step.tokens;
    all.tokens.push_back(tokens);
    const bool ends = told.eval && !stopping.after(*told.eval).empty();
    const std::string where = " after unit " + std::to_string(unit);
    if (!all.mismatch.empty()) break;
    if (ends && unit < records.units) {
      all.mismatch = "the training goes on" + where + ", where its rule ends it";
    } else if (!ends && unit == records.units && unit < finetune.records().units) {
      all.mismatch = "the training ends" + where + ", where its rule does not end it";
    }
    before = std::move(record);
  }
  all.published = stopping.published().value_or(records.units);
  return all;
}

/// Which units are computed again, from 0.
std::vector<std::uint64_t> units_to_check(const Request& request, const Records& records,
                                          bool ended_early, const schema::StopRule& rule,
                                          std::uint64_t published) {
  Fields fields(request.value, source);
  const Digest seed = fields.digest("seed");
  std::set<std::uint64_t> units;
  const auto add_from = [&](std::uint64_t first) {
    for (std::uint64_t unit = first; unit < records.units; ++unit) units.insert(unit);
  };
  if (fields.string("how") == "all") {
    add_from(0);
  } else {
    const auto draws = static_cast<std::uint64_t>(
        fields.integer("draws", 1, static_cast<std::int64_t>(schema::max_draws)));
    for (const auto unit : proof::drawn_units(seed, draws, records.units)) units.insert(unit);
    // What told it to end early is the first that one would forge.
    const std::uint64_t deciding = ended_early ? std::max<std::uint64_t>(rule.patience + 1, 2) : 0;
    add_from(records.units - std::min(records.units, deciding));
    // So is what told it which state is the best.
    if (rule.patience != 0) units.insert(published - 1);
  }
  return {units.begin(), units.end()};
}

}  // namespace

Value::Object do_retrain(const Request& request, Sink& sink, const Say& say) {
  Bench bench(request, sink);
  const ModelInputs inputs(request, bench.job(), true);
  inputs.tell_digests(say);
  const auto made = finetune_of(bench, inputs, sink);
  Finetune& finetune = *made;
  const schema::StopRule& rule = bench.job().finetune.stop_when;
  const int out = request.file("out");
  // Before it is read: a forged one may be of any size.
  const Records records = records_in(host::stamp_of(out).bytes, finetune.records(), rule.any());
  const ClaimedStates states(bench, out, records, sink, say);
  const auto root = crypto::merkle_root(workload::trace_leaves(records, states.pages()));
  say(Value::Object{{"trace", Value::Object{{"root", root.hex()}, {"units", records.units}}}});

  auto [mismatch, tokens, published] = hear(finetune, states, records, rule);
  if (mismatch.empty() && !std::ranges::equal(finetune.begin(), states.record(0))) {
    mismatch = "the training does not begin with what the job's seed gives";
  }
  finetune.go_on_from(states.record(published));
  say(Value::Object{{"foreign", foreign_result(finetune, bench, request, say)}});

  const bool ended_early = records.units < finetune.records().units;
  const auto units = units_to_check(request, records, ended_early, rule, published);
  tokens.resize(records.units);  // where they were not heard to the end
  std::uint64_t steps = 0, steps_all = 0;
  for (const auto unit : units) steps_all += records.steps_of(unit + 1);
  for (const auto drawn : units) {
    if (!mismatch.empty()) break;
    const std::uint64_t unit = drawn + 1;
    finetune.go_on_from(states.record(drawn));
    const ByteView right = finetune.run(unit, [&](const auto&) {
      sink.send(Progress{"training again", ++steps, steps_all, "steps"});
    });
    const Bytes claimed = states.record(unit);
    if (!bench.job().is_exact()) {
      mismatch = workload::drift(finetune, states.record(drawn), claimed, right, unit);
    } else if (!std::ranges::equal(right, claimed)) {
      mismatch = workload::difference(finetune, claimed, right, unit);
    }
  }
  double some = 0, all = 0;
  const double each = finetune.plan().step_multiply_adds;
  for (const auto drawn : units) some += each * static_cast<double>(tokens[drawn]);
  for (const auto of_unit : tokens) all += each * static_cast<double>(of_unit);
  return {{"checked", std::uint64_t{units.size()}},
          {"ended_early", ended_early},
          {"mismatch", mismatch.empty() ? Value(nullptr) : Value(mismatch)},
          {"cost", Value::Object{{"multiply_adds", some}, {"of", all}}}};
}

}  // namespace volt::run
