// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "libvolt/base/text.hpp"
#include "libvolt/schema/job_tables.hpp"

namespace volt::schema {
namespace {

using doc::Fields;
using doc::Source;
using doc::Value;

constexpr std::array<std::string_view, 3> schedules{"cosine", "linear", "constant"};
constexpr std::array<std::string_view, 2> optimizers{"adamw", "velvet"};
constexpr std::array<std::string_view, 2> bad_lines{"error", "skip"};
constexpr std::array<std::string_view, 2> turns{"together", "apart"};
/// Of a batch; rows and tokens of a batch then fit 32 bits.
constexpr std::int64_t max_tokens = std::int64_t{1} << 31;
constexpr double max_percent = 50, per_percent = 1e4;
/// 0 alone stands for no clipping: nothing that is not 0 may become 0 in fp32.
constexpr double least_clip = 1e-6;

}  // namespace

std::uint64_t parse_count(Fields& fields, std::string_view key, std::int64_t low,
                          std::int64_t high) {
  return static_cast<std::uint64_t>(fields.integer(key, low, high));
}

Input parse_whole(Fields& fields, const Source& source, std::string_view key, bool folder) {
  Input input = parse_input(fields, source, key);
  const bool plain = input.seeded() == nullptr && input.tensor.empty();
  if (!plain || (folder && !std::holds_alternative<File>(input.from))) {
    fields.fail(key, fields.get(key), folder ? "is no folder" : "is no file",
                std::string(key) + " = \"PATH\", or --input " + std::string(key) +
                    (folder ? "=DIR" : "=FILE"));
  }
  return input;
}

namespace {

/// "2%" as so many of a million. What is not a whole number of them is refused, so that the
/// resolved job says what the person wrote.
std::uint64_t parse_share(Fields& fields, std::string_view key) {
  const std::string& text = fields.string(key);
  double percent = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, percent, std::chars_format::fixed);
  const bool share = error == std::errc() && std::string_view(end, last) == "%" && percent >= 0 &&
                     percent <= max_percent;
  const long millionths = share ? std::lround(percent * per_percent) : 0;
  if (!share || static_cast<double>(millionths) / per_percent != percent) {
    fields.fail(key, fields.get(key), "is no share from 0% to 50%, to four decimals",
                "write \"2%\"");
  }
  return static_cast<std::uint64_t>(millionths);
}

std::string share_text(std::uint64_t millionths) {
  char digits[32];
  const auto end =
      std::to_chars(std::begin(digits), std::end(digits),
                    static_cast<double>(millionths) / per_percent, std::chars_format::fixed);
  return std::string(digits, end.ptr) + "%";
}

/// The model: a base, or what a new one is made of.
void parse_base(Fields& fields, const Source& source, Finetune& f) {
  if (!fields.has("init") && !fields.has("model")) {
    f.base = parse_whole(fields, source, "base", true);
    if (fields.has("base_format")) f.base_format = fields.choice("base_format", base_formats);
    return;
  }
  constexpr std::array<std::string_view, 1> inits{"random"};
  fields.choice("init", inits);
  if (fields.has("base"))
    fields.fail("base", fields.get("base"), "and init = \"random\" cannot both be given");
  f.model = parse_model(fields.table("model"));
  if (fields.has("tokenizer")) f.tokenizer = parse_whole(fields, source, "tokenizer", true);
  f.context = f.model->context;
}

void check_method(Fields& fields, const Finetune& f) {
  if (f.model && f.method.adapts())
    fields.fail("method", fields.get("method"), "cannot adapt a model that knows nothing yet",
                "write { full = {} }");
  if (!f.method.adapts() && f.base_format != "fp32")
    fields.fail("base_format", fields.get("base_format"),
                "is \"" + f.base_format + "\", but a full training has every parameter in fp32",
                "leave it out, or write method = { lora = {} }");
  if (f.merged && f.method.kind != Method::Kind::lora)
    fields.fail("merged", fields.get("merged"), "is for lora alone",
                f.method.adapts() ? "what flylora adds depends on each token and cannot be merged"
                                  : "a full training writes its model anyway");
}

void parse_batch(Fields batch, Finetune& finetune) {
  if (batch.has("context")) finetune.context = parse_count(batch, "context", 2, max_context);
  // As many whole rows as the usual batch holds.
  finetune.batch_tokens -= finetune.batch_tokens % finetune.context;
  finetune.batch_tokens = std::max(finetune.batch_tokens, finetune.context);
  if (batch.has("tokens")) finetune.batch_tokens = parse_count(batch, "tokens", 2, max_tokens);
  if (finetune.batch_tokens % finetune.context != 0) {
    batch.fail("tokens", batch.get("tokens"),
               "is no multiple of the context of " + std::to_string(finetune.context));
  }
  batch.refuse_others();
}

void parse_length(Fields& fields, Finetune& f) {
  if (fields.has("epochs") && fields.has("steps")) {
    fields.fail("steps", fields.get("steps"), "and epochs cannot both be given");
  }
  if (fields.has("epochs")) f.epochs = parse_count(fields, "epochs", 1, 10'000);
  if (fields.has("steps")) f.steps = parse_count(fields, "steps", 1, max_steps);
  if (fields.has("warmup")) f.warmup = parse_count(fields, "warmup", 0, max_steps);
  if (fields.has("span")) f.span = parse_count(fields, "span", 1, max_steps);
}

void parse_optimizer(Fields& fields, Finetune& f) {
  if (fields.has("optimizer")) f.optimizer = fields.choice("optimizer", optimizers);
  if (fields.has("lr")) f.rate = fields.number("lr", 1e-12, 10);
  if (fields.has("schedule")) f.schedule = fields.choice("schedule", schedules);
  if (fields.has("weight_decay")) f.weight_decay = fields.number("weight_decay", 0, 10);
  if (!fields.has("clip")) return;
  f.clip = fields.number("clip", 0, 1e6);
  if (f.clip != 0 && f.clip < least_clip) {
    fields.fail("clip", fields.get("clip"),
                "is " + to_text(f.clip) + ", neither 0 nor " + to_text(least_clip) + " or more");
  }
}

}  // namespace

std::string name_of(const Input& input, std::string usual) {
  if (const auto* file = std::get_if<File>(&input.from))
    return file->path.empty() ? usual : file->path;
  if (const auto* run = std::get_if<RunOutput>(&input.from)) return run->file;
  const auto& url = std::get<Url>(input.from).url;
  const std::string path = url.substr(0, url.find_first_of("?#"));
  return path.substr(path.rfind('/') + 1);
}

std::string Finetune::data_name() const { return name_of(data, "data.jsonl"); }
std::string Finetune::base_name() const { return name_of(base, "base"); }

std::vector<std::string> Finetune::outputs() const {
  auto names = results();
  names.insert(names.begin(), "states.bin");
  return names;
}

std::vector<std::string> Finetune::results() const {
  std::vector<std::string> names;
  if (method.adapts()) {
    names.insert(names.end(), {"adapter_config.json", "adapter_model.safetensors"});
  }
  if (!method.adapts() || merged) {
    names.insert(names.end(), {"model/config.json", "model/model.safetensors",
                               "model/tokenizer.json", "model/tokenizer_config.json"});
  }
  return names;
}

Finetune parse_finetune(Fields fields, const Source& source) {
  Finetune f;
  parse_base(fields, source, f);
  f.data = parse_whole(fields, source, "data", false);
  if (fields.has("eval")) f.eval_millionths = parse_share(fields, "eval");
  if (f.model) f.method.kind = Method::Kind::full;
  if (fields.has("method")) f.method = parse_method(fields);
  parse_length(fields, f);
  if (fields.has("batch")) parse_batch(fields.table("batch"), f);
  parse_optimizer(fields, f);
  if (fields.has("stop_when")) {
    f.stop_when = parse_stop_rule(fields);
    if (f.eval_millionths == 0)
      fields.fail("stop_when", fields.get("stop_when"), "needs held-out samples",
                  "set eval = \"2%\"");
  }
  if (fields.has("profile")) f.profile = fields.choice("profile", training_profiles);
  if (fields.has("seed")) f.seed = parse_count(fields, "seed", 0, max_integer);
  if (fields.has("on_bad_line")) {
    f.skip_bad_lines = fields.choice("on_bad_line", bad_lines) == "skip";
  }
  if (fields.has("turns")) f.answers_apart = fields.choice("turns", turns) == "apart";
  if (fields.has("merged")) f.merged = fields.boolean("merged");
  if (fields.has("tensorboard")) f.tensorboard = fields.boolean("tensorboard");
  check_method(fields, f);
  fields.refuse_others();
  return f;
}

Value finetune_value(const Finetune& f) {
  Value::Object members{
      {"data", input_value(f.data)},
      {"eval", share_text(f.eval_millionths)},
      {"method", method_value(f.method)},
      {"batch", Value::Object{{"tokens", f.batch_tokens}, {"context", f.context}}},
      {"optimizer", f.optimizer},
      {"lr", f.rate},
      {"schedule", f.schedule},
      {"warmup", f.warmup},
      {"weight_decay", f.weight_decay},
      {"clip", f.clip},
      {"profile", f.profile},
      {"seed", f.seed},
      {"on_bad_line", f.skip_bad_lines ? "skip" : "error"},
      {"turns", f.answers_apart ? "apart" : "together"},
      {"tensorboard", f.tensorboard}};
  if (f.model) {
    members.emplace_back("init", "random");
    members.emplace_back("model", model_value(*f.model));
    if (f.tokenizer) members.emplace_back("tokenizer", input_value(*f.tokenizer));
  } else {
    members.emplace_back("base", input_value(f.base));
    members.emplace_back("base_format", f.base_format);
  }
  if (f.method.kind == Method::Kind::lora) members.emplace_back("merged", f.merged);
  if (f.stop_when.any()) members.emplace_back("stop_when", stop_rule_value(f.stop_when));
  if (f.steps != 0) {
    members.emplace_back("steps", f.steps);
  } else {
    members.emplace_back("epochs", f.epochs);
  }
  if (f.span != 0) members.emplace_back("span", f.span);
  return members;
}

}  // namespace volt::schema
