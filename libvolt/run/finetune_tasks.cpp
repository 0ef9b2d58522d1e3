// SPDX-License-Identifier: Apache-2.0

// What a worker does for a finetune: train, and train again what a verifier drew.

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <memory>

#include "libvolt/base/error.hpp"
#include "libvolt/crypto/merkle.hpp"
#include "libvolt/doc/fields.hpp"
#include "libvolt/lm/stopping.hpp"
#include "libvolt/proof/challenge.hpp"
#include "libvolt/run/model_inputs.hpp"
#include "libvolt/run/operands.hpp"
#include "libvolt/run/page_teller.hpp"
#include "libvolt/run/tasks.hpp"
#include "libvolt/run/worker.hpp"
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
                       {"lr", number(t.rate)},     {"beta1", number(t.beta1)},
                       {"tokens", t.tokens},       {"entropy", number(t.entropy)},
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

/// The most memory that it took so far: on a GPU, of the GPU's.
std::uint64_t most_memory(Bench& bench, const Finetune& finetune) {
  if (bench.device().facts().backend != "cpu") return finetune.plan().memory_bytes();
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
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

void set_size(int fd, const Records& records) {
  if (::ftruncate(fd, static_cast<off_t>(records.bytes())) != 0) {
    throw_system(errno, "cannot make room for the states");
  }
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
    if (!same(x.entropy, y.entropy)) {
      return where + " has the entropy " + std::to_string(x.entropy) + ", not " +
             std::to_string(y.entropy);
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
  if (a.eval && !same(a.eval->confidence, b.eval->confidence)) {
    return "the confidence after step " + after + " is " + std::to_string(a.eval->confidence) +
           ", not " + std::to_string(b.eval->confidence);
  }
  return "the state after step " + after + " is not what the job gives";
}

/// The training's rule ended it before the last unit it could have had.
void end_early(int fd, const Records& run, const std::string& why, Sink& sink, const Say& say) {
  set_size(fd, run);
  say(Value::Object{{"ended", Value::Object{{"units", run.units}}}});
  sink.send(
      Log{Log::Level::info, "stopped early after step " + std::to_string(run.steps) + ": " + why});
}

}  // namespace

Value::Object do_train(const Request& request, Sink& sink, const Say& say) {
  Bench bench(request, sink);
  const ModelInputs inputs(request, bench.job(), false);
  Finetune finetune(bench.job().finetune, folder_of(bench, inputs), inputs.file("data"),
                    bench.device(), sink);
  const Records& records = finetune.records();
  say(Value::Object{{"begin", records_value(records)}});
  finetune.build();

  const int out = request.file("out");
  set_size(out, records);
  const auto done_pages =
      static_cast<std::uint64_t>(Fields(request.value, source).integer("done_pages", 0, INT64_MAX));
  const std::uint64_t record_pages = records.record_bytes() / tensor::page_bytes;
  std::uint64_t next = std::min(done_pages / record_pages, records.units + 1);
  // Pages of a record that was not told to its end are there already.
  std::uint64_t skip = done_pages % record_pages * tensor::page_bytes;
  std::uint64_t tokens = 0;
  lm::Stopping stopping(bench.job().finetune.stop_when);
  std::string ended;  // why
  const auto say_unit = [&](std::uint64_t unit, ByteView record) {
    const auto told = finetune.told_in(record, unit);
    for (const auto& step : told.steps) tokens += step.tokens;
    say(unit_value(unit, told));
    if (told.eval) ended = stopping.after(*told.eval);
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
  for (; next <= records.units && ended.empty(); ++next) {
    auto began = std::chrono::steady_clock::now();
    const Bytes record = next == 0 ? finetune.begin() : finetune.run(next, [&](const auto& step) {
      const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - began;
      say(Value::Object{{"step", step_value(step)},
                        {"took_ns", std::int64_t{std::max<std::int64_t>(took.count(), 1)}},
                        {"memory_bytes", most_memory(bench, finetune)}});
      began = std::chrono::steady_clock::now();
    });
    host::write_at(out, next * record.size(), record);
    teller.add(ByteView(record).subspan(skip), true);
    skip = 0;
    if (next != 0) say_unit(next, record);
  }
  if (next <= records.units) end_early(out, records.until(next - 1), ended, sink, say);
  write_results(finetune, bench, request);
  const auto& facts = bench.device().facts();
  return {
      {"device",
       Value::Object{{"backend", facts.backend}, {"name", facts.name}, {"driver", facts.driver}}},
      {"multiply_adds", static_cast<double>(tokens) * finetune.plan().step_multiply_adds},
      {"trained", finetune.plan().trained}};
}

namespace {

Value memory_value(const workload::Plan& p) {
  return Value::Object{{"base", p.memory.frozen},
                       {"trained", p.memory.trained},
                       {"activations", p.activation_bytes()},
                       {"scratch", p.scratch_bytes()},
                       {"host", p.host_bytes},
                       {"total", p.memory_bytes()},
                       {"limit", p.memory_limit}};
}

Value plan_value(const workload::Plan& p) {
  return Value::Object{{"parameters", p.parameters},
                       {"trained", p.trained},
                       {"samples", p.samples},
                       {"held_out", p.held_out},
                       {"tokens", p.tokens},
                       {"predicted", p.predicted},
                       {"steps", p.records.steps},
                       {"span", p.records.span},
                       {"units", p.records.units},
                       {"step_tokens", p.step_tokens},
                       {"eval_tokens", p.eval_tokens},
                       {"tokens_at_a_time", p.tokens_at_a_time},
                       {"memory", memory_value(p)},
                       {"states_bytes", p.records.bytes()},
                       {"outputs_bytes", p.output_bytes},
                       {"multiply_adds", p.multiply_adds()},
                       {"too_large", p.too_large},
                       {"remedy", p.remedy}};
}

constexpr std::string_view out_of_time = "{\"end\":{\"pace\":null}}\n";

/// Nothing else could end what a large model's network takes to be made.
void end_out_of_time(int) {
  static_cast<void>(!::write(answer_fd, out_of_time.data(), out_of_time.size()));
  ::_exit(0);
}

}  // namespace

Value::Object do_plan(const Request& request, Sink& sink, const Say& say) {
  Bench bench(request, sink);
  const ModelInputs inputs(request, bench.job(), false);
  Finetune finetune(bench.job().finetune, folder_of(bench, inputs), inputs.file("data"),
                    bench.device(), sink);
  const auto& plan = finetune.plan();
  say(Value::Object{{"plan", plan_value(plan)}, {"device", bench.device().facts().name}});
  if (!plan.too_large.empty()) return {{"pace", nullptr}};
  std::signal(SIGALRM, end_out_of_time);
  ::alarm(most_trial_s);
  finetune.build();
  const auto pace = finetune.measure(std::chrono::seconds(3));
  ::alarm(0);
  // What a step costs, all of them do, and a look at the held-out samples what goes forward.
  const double of_one = plan.step_multiply_adds * static_cast<double>(pace.tokens);
  return {{"pace", Value::Object{{"steps", pace.steps},
                                 {"tokens", pace.tokens},
                                 {"seconds", pace.seconds},
                                 {"all_s", pace.seconds * plan.multiply_adds() / of_one}}}};
}

namespace {

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
    auto made = std::make_unique<Finetune>(bench.job().finetune, folder_of(bench, inputs),
                                           inputs.file("data"), bench.device(), sink);
    made->build();
    return made;
  } catch (const Error& error) {
    if (error.code() != Exit::not_found) throw;
    throw Error(Exit::verification_failed, error.message(), error.hint());
  }
}

/// What of a training's length is not as its rule gives it, by what its units told.
std::string wrong_end(const Finetune& finetune, const schema::StopRule& rule,
                      const Records& records, ByteView states) {
  lm::Stopping stopping(rule);
  for (std::uint64_t unit = 1; unit <= records.units; ++unit) {
    const auto told = finetune.told_in(
        states.subspan(unit * records.record_bytes(), records.record_bytes()), unit);
    const bool ends = told.eval && !stopping.after(*told.eval).empty();
    const std::string where = " after unit " + std::to_string(unit);
    if (ends && unit < records.units) {
      return "the training goes on" + where + ", where its rule ends it";
    }
    if (!ends && unit == records.units && unit < finetune.records().units) {
      return "the training ends" + where + ", where its rule does not end it";
    }
  }
  return {};
}

}  // namespace

Value::Object do_retrain(const Request& request, Sink& sink, const Say& say) {
  Bench bench(request, sink);
  const ModelInputs inputs(request, bench.job(), true);
  inputs.tell_digests(say);
  const auto made = finetune_of(bench, inputs, sink);
  Finetune& finetune = *made;
  const schema::StopRule& rule = bench.job().finetune.stop_when;
  // Before it is read: a forged one may be of any size.
  const Records records =
      records_in(host::stamp_of(request.file("out")).bytes, finetune.records(), rule.any());
  const Bytes states = host::read_whole(request.file("out"));
  records_in(states.size(), records, false);  // it may have grown or shrunk since
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
  if (mismatch.empty()) mismatch = wrong_end(finetune, rule, records, states);
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
  const double each = finetune.plan().step_multiply_adds;
  for (const auto drawn : units) some += tokens(drawn + 1);
  for (std::uint64_t unit = 1; unit <= records.units; ++unit) all += tokens(unit);
  return {{"checked", std::uint64_t{units.size()}},
          {"mismatch", mismatch.empty() ? Value(nullptr) : Value(mismatch)},
          {"cost", Value::Object{{"multiply_adds", static_cast<double>(some) * each},
                                 {"of", static_cast<double>(all) * each}}}};
}

}  // namespace volt::run
