// SPDX-License-Identifier: Apache-2.0

// What a worker does for a finetune: train, and tell before what that takes.

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>

#include "libvolt/base/error.hpp"
#include "libvolt/doc/fields.hpp"
#include "libvolt/lm/stopping.hpp"
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
  if (bench.device().facts().backend != "cpu") return finetune.plan().memory.total();
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

void write_results(const Finetune& finetune, const Bench& bench, const Request& request) {
  for (const auto& name : bench.job().finetune.results()) {
    const int fd = request.file(name);
    if (::ftruncate(fd, 0) != 0) throw_system(errno, "cannot write " + name);
    std::uint64_t at = 0;
    finetune.put_output(name, [&](ByteView bytes) {
      host::write_at(fd, at, bytes);
      at += bytes.size();
    });
  }
}

/// What is read is what was written.
void compare_merged(Finetune& finetune, const Request& request, Sink& sink, const Say& say) {
  const host::Mapping model(request.file("model/model.safetensors"));
  const auto told = finetune.compare_merged(model.bytes());
  if (!told) {
    sink.send(
        Log{Log::Level::info,
            "the merged model was not compared with base and adapter: memory does not suffice"});
    return;
  }
  say(Value::Object{{"merged", Value::Object{{"tokens", told->tokens},
                                             {"same_argmax", told->same_argmax},
                                             {"difference", number(told->difference)}}}});
}

void set_size(int fd, const Records& records) {
  if (::ftruncate(fd, static_cast<off_t>(records.bytes())) != 0) {
    throw_system(errno, "cannot make room for the states");
  }
}

/// Its products are NVIDIA's libraries', and on a CPU nothing but slow.
void refuse_device(Bench& bench) {
  if (bench.job().is_exact() || bench.device().facts().backend != "cpu") return;
  throw Error(Exit::no_device, "the profile native is for NVIDIA GPUs, and this is a CPU",
              "profile = \"i8x\" is faster on a CPU, and every bit of it can be checked");
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
  refuse_device(bench);
  const ModelInputs inputs(request, bench.job(), false);
  Finetune finetune(bench.job(), inputs.model_folder(bench.job()), inputs.file("data"),
                    bench.device(), sink);
  const Records& records = finetune.records();
  say(Value::Object{{"begin", records_value(records)}});
  finetune.build();
  inputs.release();

  const int out = request.file("out");
  set_size(out, records);
  const auto done_pages =
      static_cast<std::uint64_t>(Fields(request.value, source).integer("done_pages", 0, INT64_MAX));
  const std::uint64_t record_pages = records.record_bytes() / tensor::page_bytes;
  std::uint64_t next = std::min(done_pages / record_pages, records.units + 1);
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
    const ByteView record =
        next == 0 ? finetune.begin() : finetune.run(next, [&](const auto& step) {
          const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - began;
          say(Value::Object{{"step", step_value(step)},
                            {"took_ns", std::int64_t{std::max<std::int64_t>(took.count(), 1)}},
                            {"memory_bytes", most_memory(bench, finetune)}});
          began = std::chrono::steady_clock::now();
        });
    host::write_at(out, next * record.size(), record);
    teller.add(record, true);
    if (next != 0) say_unit(next, record);
  }
  const Records run = records.until(next - 1);
  if (run.units != records.units) end_early(out, run, ended, sink, say);
  if (const auto best = stopping.published(); best && *best != run.units) {
    finetune.go_on_from(read_record(out, records, *best));
    sink.send(Log{Log::Level::info, "the outputs are those after step " +
                                        std::to_string(records.until(*best).steps) +
                                        ", the last that made the held-out loss better"});
  }
  write_results(finetune, bench, request);
  if (bench.job().finetune.merged) compare_merged(finetune, request, sink, say);
  const auto& facts = bench.device().facts();
  return {
      {"device",
       Value::Object{{"backend", facts.backend}, {"name", facts.name}, {"driver", facts.driver}}},
      {"multiply_adds", static_cast<double>(tokens) * finetune.plan().step_multiply_adds},
      {"trained", finetune.plan().trained}};
}

namespace {

Value memory_value(const workload::Plan& p) {
  return Value::Object{{"base", p.memory.base},
                       {"trained", p.memory.trained},
                       {"activations", p.memory.activations},
                       {"scratch", p.memory.scratch},
                       {"host", p.memory.host},
                       {"total", p.memory.total()},
                       {"limit", p.memory_limit}};
}

Value plan_value(const workload::Plan& p) {
  auto two_records = p.records;  // as few as a span can make them
  two_records.span = two_records.steps;
  two_records.units = 1;
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
                       {"tokens_at_a_time", p.capacity.rows},
                       {"layers", p.layers},
                       {"kept_layers", p.capacity.kept_layers},
                       {"memory", memory_value(p)},
                       {"states_bytes", p.records.bytes()},
                       {"least_states_bytes", two_records.bytes()},
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
  refuse_device(bench);
  const ModelInputs inputs(request, bench.job(), false);
  Finetune finetune(bench.job(), inputs.model_folder(bench.job()), inputs.file("data"),
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
  const double of_one =
      (plan.step_multiply_adds + plan.again_multiply_adds) * static_cast<double>(pace.tokens);
  return {{"pace", Value::Object{{"steps", pace.steps},
                                 {"tokens", pace.tokens},
                                 {"seconds", pace.seconds},
                                 {"all_s", pace.seconds * plan.multiply_adds() / of_one}}}};
}

}  // namespace volt::run
