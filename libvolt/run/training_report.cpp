// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/training_report.hpp"

#include <array>
#include <cmath>
#include <cstdio>
#include <limits>

#include "libvolt/base/quantities.hpp"
#include "libvolt/doc/fields.hpp"
#include "libvolt/doc/read.hpp"
#include "libvolt/run/event_file.hpp"

namespace volt::run {
namespace {

using doc::Value;

constexpr std::size_t most_line_bytes = 1024;

/// A number that a worker told; null, or none, is NaN.
double number(const Value& of, std::string_view key) {
  const Value* value = of.find(key);
  if (value == nullptr) return std::numeric_limits<double>::quiet_NaN();
  if (const auto* whole = value->get_if<std::int64_t>()) return static_cast<double>(*whole);
  const auto* real = value->get_if<double>();
  return real == nullptr ? std::numeric_limits<double>::quiet_NaN() : *real;
}

Value value_of(double number) { return std::isfinite(number) ? Value(number) : Value(); }

std::string shown(double loss) {
  if (!std::isfinite(loss)) return "not finite";
  char text[48];
  std::snprintf(text, sizeof text, std::abs(loss) < 1e4 ? "%.4f" : "%.4g", loss);
  return text;
}

double now_s() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

TrainingReport::TrainingReport(Attempt& attempt, std::uint64_t steps)
    : attempt_(attempt), steps_(steps), metrics_(attempt.folder().noted_file("metrics.jsonl")) {
  if (!attempt.job().finetune.tensorboard) return;
  events_.emplace(attempt.folder().noted_file(std::string(event_file_name)));
  const std::string there = events_->ahead(event_file_head(0).size());
  events_->add(event_file_head(there.empty() ? now_s() : wall_time_in(there)));
}

void TrainingReport::step(const Value& told, const std::optional<Measured>& measured) {
  const std::uint64_t step = losses_.train.size();
  add_line(told);
  const double loss = number(told, "loss"), norm = number(told, "norm"), rate = number(told, "lr");
  const double tokens = number(told, "tokens");
  losses_.train.push_back(static_cast<float>(loss));
  const std::array<Scalar, 4> scalars{{{"loss", static_cast<float>(loss)},
                                       {"lr", static_cast<float>(rate)},
                                       {"gradient_norm", static_cast<float>(norm)},
                                       {"tokens", static_cast<float>(tokens)}}};
  add_event(scalars, step);
  Sink& sink = attempt_.sink();
  sink.send(Metric{"loss", loss, "nats", step});
  sink.send(Metric{"gradient_norm", norm, "", step});
  sink.send(Metric{"lr", rate, "", step});
  sink.send(Metric{"tokens", tokens, "tokens", step});
  if (!measured) return;
  const double seconds = std::chrono::duration<double>(measured->time).count();
  tokens_ += static_cast<std::uint64_t>(tokens);
  time_ += measured->time;
  // A rate that follows a change within about ten steps.
  recent_tokens_ = 0.9 * recent_tokens_ + tokens;
  recent_s_ = 0.9 * recent_s_ + seconds;
  sink.send(Metric{"rate", tokens / seconds, "tokens/s", step});
  sink.send(Metric{"memory", static_cast<double>(measured->memory_bytes), "bytes", step});
  show(*measured);
}

void TrainingReport::show(const Measured& measured) {
  std::string beside = "loss " + shown(losses_.train.back());
  if (eval_) beside += ", eval " + shown(*eval_);
  if (recent_s_ > 0) {
    beside += ", " + std::to_string(std::llround(recent_tokens_ / recent_s_)) + " tokens/s";
  }
  beside += ", " + format_memory(measured.memory_bytes);
  attempt_.sink().send(Progress{"training", losses_.train.size(), steps_, "steps", beside});
}

void TrainingReport::eval(const Value& told) {
  const std::uint64_t step = losses_.train.size();
  add_line(Value::Object{{"step", step}, {"eval", told}});
  const double loss = number(told, "loss");
  losses_.eval.push_back({step, static_cast<float>(loss)});
  eval_ = loss;
  if (std::isfinite(loss) && (!best_ || loss < best_->loss)) best_ = {loss, step};
  const std::array<Scalar, 1> scalars{{{"eval/loss", static_cast<float>(loss)}}};
  add_event(scalars, step);
  for (const std::string name : {"loss", "confidence", "entropy"}) {
    attempt_.sink().send(
        Metric{"eval_" + name, number(told, name), name == "confidence" ? "" : "nats", step});
  }
}

void TrainingReport::merged(const Value& told) {
  doc::Fields fields(told, {"worker", Exit::failure});
  const auto count = [&](std::string_view key) { return fields.integer(key, 0, INT64_MAX); };
  const double difference = number(told, "difference");
  merged_ = Value::Object{{"tokens", count("tokens")},
                          {"same_argmax", count("same_argmax")},
                          {"difference", value_of(difference)}};
  char largest[32] = "not finite";
  if (std::isfinite(difference)) std::snprintf(largest, sizeof largest, "%.2g", difference);
  attempt_.sink().send(
      Log{Log::Level::info,
          "the merged model against base and adapter, on " + std::to_string(count("tokens")) +
              " tokens: the largest difference of logits is " + largest +
              ", the likeliest token is the same behind " + std::to_string(count("same_argmax"))});
}

/// Units are about as many as the root of the steps.
void TrainingReport::unit() {
  const std::uint64_t step = losses_.train.size();
  if (step == 0) return;
  std::string line = "step " + std::to_string(step) + "/" + std::to_string(steps_) + ": loss " +
                     shown(losses_.train.back());
  if (eval_ && losses_.eval.back().step == step) line += ", eval " + shown(*eval_);
  attempt_.sink().send(Log{Log::Level::info, line});
}

void TrainingReport::add_line(const Value& value) {
  const std::string line = doc::to_canonical_json(value);
  if (line.size() > most_line_bytes) {
    throw Error(Exit::failure, "the worker tells too much of a step");
  }
  metrics_.add(line + "\n");
}

/// An event that is there already keeps the time at which it was.
void TrainingReport::add_event(std::span<const Scalar> scalars, std::uint64_t step) {
  if (!events_) return;
  const double now = now_s();
  const std::string fresh = event_record(now, step, scalars);
  const double then = wall_time_in(events_->ahead(fresh.size()));
  events_->add(then == 0 ? fresh : event_record(then, step, scalars));
}

double TrainingReport::tokens_per_s() const {
  const double seconds = std::chrono::duration<double>(time_).count();
  return seconds > 0 ? static_cast<double>(tokens_) / seconds
                     : std::numeric_limits<double>::quiet_NaN();
}

void TrainingReport::finish(std::uint64_t peak_memory_bytes) {
  metrics_.finish();
  if (events_) events_->finish();
  attempt_.folder().note("loss.svg", loss_chart(losses_));
  const auto info = [&](const std::string& text) {
    attempt_.sink().send(Log{Log::Level::info, text});
  };
  std::string text = std::to_string(losses_.train.size()) + " steps: loss " +
                     shown(losses_.train.front()) + " at first, " + shown(losses_.train.back()) +
                     " at last";
  if (best_) {
    text += "; eval " + shown(best_->loss) + " at best, after step " + std::to_string(best_->step);
  }
  info(text);
  const double rate = tokens_per_s();
  info((std::isfinite(rate) ? std::to_string(std::llround(rate)) + " tokens/s, " : "") +
       format_memory(peak_memory_bytes) + " of memory at most; the outputs are in " +
       host::shown(attempt_.folder().path()) + ", loss.svg shows the losses");
}

Value::Object TrainingReport::facts() const {
  return {{"steps", std::uint64_t{losses_.train.size()}},
          {"first_loss", value_of(losses_.train.front())},
          {"last_loss", value_of(losses_.train.back())},
          {"best_eval_loss", best_ ? Value(best_->loss) : Value()},
          {"best_eval_step", best_ ? Value(best_->step) : Value()},
          {"tokens_per_s", value_of(tokens_per_s())},
          {"merged", merged_}};
}

}  // namespace volt::run
