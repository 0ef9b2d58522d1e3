// SPDX-License-Identifier: Apache-2.0

// What a worker does for a finetune: train, and train again what a verifier drew.

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <memory>

#include "libvolt/base/error.hpp"
#include "libvolt/crypto/merkle.hpp"
#include "libvolt/doc/fields.hpp"
#include "libvolt/proof/challenge.hpp"
#include "libvolt/run/model_inputs.hpp"
#include "libvolt/run/operands.hpp"
#include "libvolt/run/page_teller.hpp"
#include "libvolt/run/tasks.hpp"
#include "libvolt/workload/finetune.hpp"

namespace volt::run {
namespace {

using doc::Fields;
using doc::Source;
using doc::Value;
using workload::Finetune;
using workload::Records;

const Source source{"task", Exit::failure};

/// Of the base, or the tokenizer of a model that has none.
lm::Files folder_of(const Bench& bench, const ModelInputs& inputs) {
  return inputs.folder(bench.job().finetune.model ? "tokenizer" : "base");
}

/// JSON has no NaN.
Value number(float value) { return std::isfinite(value) ? Value(double{value}) : Value(nullptr); }

Value step_value(const lm::StepTold& t) {
  return Value::Object{{"step", t.step},           {"loss", number(t.loss)},
                       {"norm", number(t.norm)},   {"clip", number(t.clip)},
                       {"lr", number(t.rate)},     {"tokens", t.tokens},
                       {"predicted", t.predicted}, {"skipped", t.skipped}};
}

Value unit_value(std::uint64_t unit, const workload::UnitTold& told) {
  Value::Object members{{"unit", unit}};
  if (told.eval) {
    members.emplace_back("eval", Value::Object{{"loss", number(told.eval->loss)},
                                               {"confidence", number(told.eval->confidence)},
                                               {"entropy", number(told.eval->entropy)}});
  }
  return members;
}

Value records_value(const Records& r) {
  return Value::Object{{"offset", std::uint64_t{0}}, {"bytes", r.bytes()},
                       {"units", r.units},           {"span", r.span},
                       {"steps", r.steps},           {"state_bytes", r.state_bytes},
                       {"evaluates", r.evaluates}};
}

Bytes read_record(int fd, const Records& records, std::uint64_t index) {
  Bytes record(records.record_bytes());
  if (host::read_at(fd, index * record.size(), record.data(), record.size()) != record.size()) {
    throw Error(Exit::local_io, "the kept states end too early");
  }
  return record;
}

/// The outputs beside the states.
std::vector<std::string> results_of(const schema::Finetune& job) {
  auto names = job.outputs();
  names.erase(names.begin());
  return names;
}

void write_results(const Finetune& finetune, const Bench& bench, const Request& request) {
  for (const auto& name : results_of(bench.job().finetune)) {
    const int fd = request.file(name);
    if (::ftruncate(fd, 0) != 0) throw_system(errno, "cannot write " + name);
    std::uint64_t at = 0;
    finetune.put_output(name, [&](ByteView bytes) {
      host::write_at(fd, at, bytes);
      at += bytes.size();
    });
  }
}

/// The first output that is not what the present state gives.
std::string foreign_result(const Finetune& finetune, const Bench& bench, const Request& request) {
  for (const auto& name : results_of(bench.job().finetune)) {
    const int fd = request.file(name);
    std::uint64_t at = 0;
    bool same = true;
    finetune.put_output(name, [&](ByteView bytes) {
      Bytes claimed(same ? bytes.size() : 0);
      same = same && host::read_at(fd, at, claimed.data(), claimed.size()) == claimed.size() &&
             std::ranges::equal(claimed, bytes);
      at += bytes.size();
    });
    if (!same || host::stamp_of(fd).bytes != at) return name;
  }
  return {};
}

/// Whether two numbers have the same bits, as a NaN has with itself.
bool same(float a, float b) {
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}

/// What a unit's telling and its replay differ in.
std::string difference(const Finetune& finetune, ByteView claimed, ByteView right,
                       std::uint64_t unit) {
  const auto a = finetune.told_in(claimed, unit), b = finetune.told_in(right, unit);
  for (std::size_t i = 0; i < a.steps.size(); ++i) {
    const auto &x = a.steps[i], &y = b.steps[i];
    const std::string where = "step " + std::to_string(y.step);
    if (!same(x.loss, y.loss)) {
      return where + " has the loss " + std::to_string(x.loss) + ", not " + std::to_string(y.loss);
    }
    if (!same(x.norm, y.norm) || !same(x.clip, y.clip) || x.skipped != y.skipped) {
      return where + " is not what the job gives";
    }
  }
  const std::string after = std::to_string(b.steps.back().step);
  if (a.eval && !same(a.eval->loss, b.eval->loss)) {
    return "the held-out loss after step " + after + " is " + std::to_string(a.eval->loss) +
           ", not " + std::to_string(b.eval->loss);
  }
  return "the state after step " + after + " is not what the job gives";
}

}  // namespace

Value::Object do_train(const Request& request, Sink& sink, const Say& say) {
  Bench bench(request, sink);
  const ModelInputs inputs(request, bench.job(), false);
  Finetune finetune(bench.job().finetune, folder_of(bench, inputs), inputs.file("data"),
                    bench.device(), sink);
  const Records& records = finetune.records();
  say(Value::Object{{"begin", records_value(records)}});

  const int out = request.file("out");
  if (::ftruncate(out, static_cast<off_t>(records.bytes())) != 0) {
    throw_system(errno, "cannot make room for the states");
  }
  const auto done_pages =
      static_cast<std::uint64_t>(Fields(request.value, source).integer("done_pages", 0, INT64_MAX));
  const std::uint64_t record_pages = records.record_bytes() / tensor::page_bytes;
  std::uint64_t next = std::min(done_pages / record_pages, records.units + 1);
  // Pages of a record that was not told to its end are there already.
  std::uint64_t skip = done_pages % record_pages * tensor::page_bytes;
  std::uint64_t tokens = 0;
  const auto say_unit = [&](std::uint64_t unit, ByteView record) {
    const auto told = finetune.told_in(record, unit);
    for (const auto& step : told.steps) tokens += step.tokens;
    say(unit_value(unit, told));
  };
  for (std::uint64_t unit = 1; unit < next; ++unit) {
    const Bytes record = read_record(out, records, unit);
    for (const auto& step : finetune.told_in(record, unit).steps) {
      say(Value::Object{{"step", step_value(step)}});
    }
    say_unit(unit, record);
  }
  if (next != 0) finetune.go_on_from(read_record(out, records, next - 1));
  PageTeller teller(bench, say);
  for (; next <= records.units; ++next) {
    const Bytes record = next == 0 ? finetune.begin() : finetune.run(next, [&](const auto& step) {
      say(Value::Object{{"step", step_value(step)}});
      sink.send(Progress{"training", step.step + 1, records.steps, "steps"});
    });
    host::write_at(out, next * record.size(), record);
    teller.add(ByteView(record).subspan(skip), true);
    skip = 0;
    if (next != 0) say_unit(next, record);
  }
  write_results(finetune, bench, request);
  const auto& facts = bench.device().facts();
  return {
      {"device",
       Value::Object{{"backend", facts.backend}, {"name", facts.name}, {"driver", facts.driver}}},
      {"multiply_adds", finetune.multiply_adds(tokens)},
      {"trained", finetune.trained_elements()}};
}

namespace {

/// What a receipt leaves out, such as a tokenizer, is a mistake of the receipt.
std::unique_ptr<Finetune> finetune_of(Bench& bench, const ModelInputs& inputs, Sink& sink) {
  try {
    return std::make_unique<Finetune>(bench.job().finetune, folder_of(bench, inputs),
                                      inputs.file("data"), bench.device(), sink);
  } catch (const Error& error) {
    if (error.code() != Exit::not_found) throw;
    throw Error(Exit::verification_failed, error.message(), error.hint());
  }
}

}  // namespace

Value::Object do_retrain(const Request& request, Sink& sink, const Say& say) {
  Bench bench(request, sink);
  const ModelInputs inputs(request, bench.job(), true);
  inputs.tell_digests(say);
  const auto made = finetune_of(bench, inputs, sink);
  Finetune& finetune = *made;
  const Records& records = finetune.records();
  // Before it is read: a forged one may be of any size.
  const std::uint64_t size = host::stamp_of(request.file("out")).bytes;
  const Bytes states = size == records.bytes() ? host::read_whole(request.file("out")) : Bytes();
  if (states.size() != records.bytes()) {
    throw Error(Exit::verification_failed, "states.bin has " + std::to_string(size) +
                                               " bytes, but the job gives " +
                                               std::to_string(records.bytes()));
  }
  const auto record = [&](std::uint64_t index) {
    return ByteView(states).subspan(index * records.record_bytes(), records.record_bytes());
  };
  const auto pages = bench.leaves(states, "the states");
  const auto root = crypto::merkle_root(workload::trace_leaves(records, pages));
  say(Value::Object{{"trace", Value::Object{{"root", root.hex()}, {"units", records.units}}}});

  std::string mismatch;
  for (std::uint64_t unit = 0; unit <= records.units && mismatch.empty(); ++unit) {
    mismatch = finetune.contradiction(record(unit == 0 ? 0 : unit - 1), record(unit), unit);
  }
  const Bytes beginning = finetune.begin();
  if (mismatch.empty() && !std::ranges::equal(beginning, record(0))) {
    mismatch = "the training does not begin with what the job's seed gives";
  }
  finetune.go_on_from(record(records.units));
  say(Value::Object{{"foreign", foreign_result(finetune, bench, request)}});

  Fields fields(request.value, source);
  const Digest seed = fields.digest("seed");
  std::vector<std::uint64_t> units;
  if (fields.string("how") == "all") {
    for (std::uint64_t unit = 0; unit < records.units; ++unit) units.push_back(unit);
  } else {
    const auto draws = static_cast<std::uint64_t>(
        fields.integer("draws", 1, static_cast<std::int64_t>(schema::max_draws)));
    units = proof::drawn_units(seed, draws, records.units);
  }
  std::uint64_t steps = 0, steps_all = 0;
  for (const auto unit : units) steps_all += records.steps_of(unit + 1);
  for (const auto drawn : units) {
    if (!mismatch.empty()) break;
    const std::uint64_t unit = drawn + 1;
    finetune.go_on_from(record(drawn));
    const Bytes right = finetune.run(unit, [&](const auto&) {
      sink.send(Progress{"training again", ++steps, steps_all, "steps"});
    });
    if (!std::ranges::equal(right, record(unit))) {
      mismatch = difference(finetune, record(unit), right, unit);
    }
  }
  const auto tokens = [&](std::uint64_t unit) {
    std::uint64_t sum = 0;
    for (const auto& step : finetune.told_in(record(unit), unit).steps) sum += step.tokens;
    return sum;
  };
  std::uint64_t some = 0, all = 0;
  for (const auto drawn : units) some += tokens(drawn + 1);
  for (std::uint64_t unit = 1; unit <= records.units; ++unit) all += tokens(unit);
  return {{"checked", std::uint64_t{units.size()}},
          {"mismatch", mismatch.empty() ? Value(nullptr) : Value(mismatch)},
          {"cost", Value::Object{{"multiply_adds", finetune.multiply_adds(some)},
                                 {"of", finetune.multiply_adds(all)}}}};
}

}  // namespace volt::run
