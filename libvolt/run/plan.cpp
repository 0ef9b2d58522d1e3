// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/plan.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "libvolt/base/quantities.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/doc/fields.hpp"
#include "libvolt/run/model_inputs.hpp"
#include "libvolt/run/tasks.hpp"

namespace volt::run {
namespace {

using doc::Fields;
using doc::Source;
using doc::Value;

const Source source{"worker", Exit::failure};

std::uint64_t count(Fields& fields, std::string_view key) {
  return static_cast<std::uint64_t>(fields.integer(key, 0, INT64_MAX));
}

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g %%", 100 * share);
  return text;
}

/// What is free where the folder is or will be made; nothing if the system does not tell.
std::optional<std::uint64_t> free_bytes(host::Path folder) {
  folder = std::filesystem::absolute(folder);
  while (!host::exists(folder) && folder.has_relative_path()) folder = folder.parent_path();
  std::error_code error;
  const auto space = std::filesystem::space(folder, error);
  if (error) return std::nullopt;
  return space.available;
}

/// The worker's answer, put into words.
class Telling {
 public:
  Telling(const schema::Job& job, const Value& told, const Value& end, const Options& options)
      : job_(job),
        plan_(told, source, "plan"),
        end_(end, source, "end"),
        device_(Fields(told, source).string("device")),
        options_(options) {}

  PlanOutcome tell() {
    outcome_.document = {{"schema", "volt.plan/1"}, {"name", job_.name}};
    Fields plan = plan_.table("plan");
    for (const std::string key :
         {"parameters", "trained", "samples", "held_out", "tokens", "predicted", "steps", "span",
          "units", "step_tokens", "eval_tokens", "tokens_at_a_time", "layers", "kept_layers"}) {
      outcome_.document.emplace_back(key, count(plan, key));
    }
    tell_size(plan);
    tell_disk(plan);
    tell_memory(plan);
    tell_time(plan);
    tell_check(plan);
    outcome_.document.emplace_back("fits", outcome_.exit == Exit::ok);
    outcome_.document.emplace_back("class", exit_class(outcome_.exit).word);
    outcome_.document.emplace_back("short_of", std::move(short_of_));
    outcome_.text += unfit_;
    if (unfit_.empty()) line("fits", "yes");
    return std::move(outcome_);
  }

 private:
  static std::string of(std::string name, const std::string& text) {
    name.resize(10, ' ');
    return name + printable(text, 4000) + "\n";
  }
  void line(std::string name, const std::string& text) {
    outcome_.text += of(std::move(name), text);
  }

  /// In the order in which a run looks at them: the first decides the exit.
  void lacks(Exit exit, const std::string& text, const std::string& remedy) {
    if (outcome_.exit == Exit::ok) outcome_.exit = exit;
    unfit_ += of("fits", "no: " + text) + of("", remedy);
    short_of_.emplace_back(
        Value::Object{{"class", exit_class(exit).word}, {"message", text}, {"hint", remedy}});
  }

  void tell_size(Fields& plan) {
    const auto text = [&](std::string_view key) { return std::to_string(count(plan, key)); };
    const auto parameters =
        static_cast<double>(std::max<std::uint64_t>(count(plan, "parameters"), 1));
    line("model", text("parameters") + " parameters, of which " + text("trained") + " (" +
                      percent(static_cast<double>(count(plan, "trained")) / parameters) +
                      ") are trained");
    line("data", text("samples") + " samples, " + text("tokens") + " tokens, " + text("predicted") +
                     " of them to be predicted; " + text("held_out") + " samples held out");
    line("steps", text("steps") + " with " + text("step_tokens") + " tokens in all, of which " +
                      text("tokens_at_a_time") + " at a time");
  }

  void tell_memory(Fields& plan) {
    Fields memory = plan.table("memory");
    Value::Object members;
    std::vector<std::string> parts;
    for (const auto& [key, name] : {std::pair{"base", "base"},
                                    {"trained", "adapter and optimizer"},
                                    {"activations", "activations"},
                                    {"scratch", "scratch"},
                                    {"host", "samples and states"},
                                    {"total", ""},
                                    {"limit", ""}}) {
      const auto bytes = count(memory, key);
      members.emplace_back(key, bytes);
      if (*name == '\0' || bytes == 0) continue;
      const bool whole = std::string_view(key) == "trained" && !job_.finetune.method.adapts();
      parts.push_back((whole ? "model and optimizer" : std::string(name)) + " " +
                      format_memory(bytes));
    }
    line("memory", format_memory(count(memory, "total")) + " of " +
                       format_memory(count(memory, "limit")) + ": " + join(parts, ", "));
    const auto again = count(plan, "layers") - count(plan, "kept_layers");
    if (again != 0) {
      line("", "for want of memory " + std::to_string(again) + " of " +
                   std::to_string(count(plan, "layers")) + " layers are computed twice");
    }
    outcome_.document.emplace_back("memory", std::move(members));
    const auto& too_large = plan.string("too_large");
    if (!too_large.empty()) lacks(Exit::no_device, too_large, plan.string("remedy"));
  }

  void tell_disk(Fields& plan) {
    const auto states = count(plan, "states_bytes"), outputs = count(plan, "outputs_bytes");
    const auto& limit = job_.limits.disk_bytes;
    const auto free = free_bytes(options_.folder.empty() ? usual_folder(job_) : options_.folder);
    line("disk", format_memory(states) + " of states, " + format_memory(outputs) +
                     " of other outputs" + (free ? "; " + format_memory(*free) + " free" : ""));
    outcome_.document.emplace_back("disk",
                                   Value::Object{{"states", states},
                                                 {"outputs", outputs},
                                                 {"free", free ? Value(*free) : Value()},
                                                 {"limit", limit ? Value(*limit) : Value()}});
    const auto least = count(plan, "least_states_bytes");
    if (limit && states > *limit) {
      lacks(Exit::answer_is_no,
            "the kept states take " + format_memory(states) + ", more than the " +
                format_memory(*limit) + " of [limits] disk",
            least <= *limit ? "without finetune.span they are as many as fit"
                            : "even the first and the last one take " + format_memory(least));
    }
    if (free && states + outputs > *free) {
      lacks(Exit::local_io,
            "the disk has " + format_memory(*free) + " free, of the " +
                format_memory(states + outputs) + " that are needed",
            (least + outputs <= *free
                 ? "[limits] disk or a larger finetune.span keeps fewer states, and "
                 : std::string()) +
                "-o chooses another place");
    }
  }

  void tell_time(Fields& plan) {
    const double work = plan.number("multiply_adds", 0, 1e300);
    char figure[32];
    std::snprintf(figure, sizeof figure, "%.3g", work);
    line("work", std::string(figure) + " multiply-adds");
    outcome_.document.emplace_back("multiply_adds", work);
    outcome_.document.emplace_back("device", device_);
    Value measured;
    if (const Value* pace = end_.find("pace"); pace->get_if<Value::Object>() != nullptr) {
      Fields fields(*pace, source, "pace");
      const double seconds = fields.number("all_s", 0, 1e15);
      constexpr double most = 9e9;  // centuries: a duration holds no more
      const auto steps = count(fields, "steps");
      line("time", "about " +
                       format_duration(std::chrono::nanoseconds(
                           static_cast<std::int64_t>(std::min(seconds, most) * 1e9))) +
                       " on " + device_ + ", from " + std::to_string(steps) +
                       (steps == 1 ? " small step" : " small steps") + " taken now");
      measured = Value::Object{{"steps", steps},
                               {"tokens", count(fields, "tokens")},
                               {"seconds", fields.number("seconds", 0, 1e15)},
                               {"all_s", seconds}};
    } else if (plan.string("too_large").empty()) {  // then a step was tried
      line("time", "not known: a first step is not done within " + std::to_string(most_trial_s) +
                       " s on " + device_);
    }
    outcome_.document.emplace_back("time", std::move(measured));
  }

  /// As gpu-verify draws without options.
  void tell_check(Fields& plan) {
    const auto units = static_cast<double>(count(plan, "units"));
    const auto policy = job_.proof.at_least(schema::usual_policy(job_));
    const auto draws = static_cast<double>(std::min(policy.draws(), schema::max_draws));
    const bool all = policy.level == "all" || draws >= units;
    // Draws are independent, and a unit drawn twice is computed once.
    const double drawn = all ? units : units * (1 - std::pow(1 - 1 / units, draws));
    const auto shown = std::to_string(std::llround(drawn));
    line("check", all ? "all " + shown + " units are computed again"
                      : "about " + shown + " of " + std::to_string(count(plan, "units")) +
                            " units are computed again, " + percent(drawn / units) +
                            " of the work");
    outcome_.document.emplace_back(
        "check", Value::Object{{"units", static_cast<std::int64_t>(std::llround(drawn))},
                               {"share", drawn / units}});
  }

  const schema::Job& job_;
  Fields plan_, end_;
  const std::string device_;
  const Options& options_;
  PlanOutcome outcome_;
  std::string unfit_;
  Value::Array short_of_;
};

}  // namespace

PlanOutcome plan_job(const JobFile& file, const Options& options, Sink& sink,
                     const Interrupt& interrupt) {
  const auto& job = file.job;
  if (!job.is_finetune()) {
    throw Error(Exit::usage, "--plan is for trainings, which this job is not");
  }
  device::Wanted wanted = options.device;
  if (job.limits.memory_bytes) wanted.memory_bytes = *job.limits.memory_bytes;
  Task task = task_for("plan", job, for_language_models(wanted, job));
  const auto found = inputs::find(job, options.places, sink, interrupt.stop);
  for (const auto& input : found) {
    task.files.push_back({input.name, input.fd.get()});
  }
  Value told;
  const auto ending = work(task, sink, interrupt, [&](const Value& message) { told = message; });
  return Telling(job, told, ending.end, options).tell();
}

}  // namespace volt::run
