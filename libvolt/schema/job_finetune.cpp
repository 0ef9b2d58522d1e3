// SPDX-License-Identifier: Apache-2.0
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

constexpr std::array<std::string_view, 2> profiles{"i8x", "f32x"};
constexpr std::array<std::string_view, 3> schedules{"cosine", "linear", "constant"};
constexpr std::array<std::string_view, 2> on_bad_line{"error", "skip"};
constexpr std::array<std::string_view, 2> turns{"together", "apart"};
constexpr std::string_view all_linear = "all-linear";
constexpr std::int64_t most_steps = std::int64_t{1} << 31;
constexpr std::size_t most_targets = 64;

std::uint64_t count(Fields& fields, std::string_view key, std::int64_t low, std::int64_t high) {
  return static_cast<std::uint64_t>(fields.integer(key, low, high));
}

/// "2%" as so many of a million.
std::uint64_t parse_share(Fields& fields, std::string_view key) {
  const std::string& text = fields.string(key);
  double percent = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), percent);
  if (error != std::errc() || std::string_view(end) != "%" || !(percent >= 0) || percent > 50) {
    fields.fail(key, fields.get(key), "is no share from 0% to 50%", "write \"2%\"");
  }
  return static_cast<std::uint64_t>(std::lround(percent * 10'000));
}

std::string share_text(std::uint64_t millionths) {
  std::string text = std::to_string(millionths / 10'000);
  if (millionths % 10'000 != 0) {
    const std::string rest = std::to_string(10'000 + millionths % 10'000).substr(1);
    text += "." + rest.substr(0, rest.find_last_not_of('0') + 1);
  }
  return text + "%";
}

void parse_lora(Fields lora, Finetune& finetune) {
  if (lora.has("rank")) finetune.rank = count(lora, "rank", 1, 4096);
  if (lora.has("alpha")) finetune.alpha = lora.number("alpha", 1e-3, 1e6);
  if (lora.has("dropout")) finetune.dropout = lora.number("dropout", 0, 0.95);
  if (const Value* targets = lora.find("targets")) {
    const auto* word = targets->get_if<std::string>();
    if (word != nullptr && *word != all_linear) {
      lora.fail("targets", *targets, "is \"" + printable(*word) + "\"",
                "write \"all-linear\", or a list such as [\"q_proj\", \"v_proj\"]");
    }
    if (word == nullptr) {
      for (const auto& item : lora.array("targets")) {
        const auto* name = item.get_if<std::string>();
        if (name == nullptr || name->empty() || finetune.targets.size() == most_targets) {
          lora.fail("targets", item, "is no list of up to 64 names of matrices");
        }
        finetune.targets.push_back(*name);
      }
      if (finetune.targets.empty()) lora.fail("targets", *targets, "names no matrix");
    }
  }
  lora.refuse_others();
}

void parse_batch(Fields batch, Finetune& finetune) {
  if (batch.has("context")) finetune.context = count(batch, "context", 2, 1 << 24);
  finetune.batch_tokens = finetune.context;
  if (batch.has("tokens")) finetune.batch_tokens = count(batch, "tokens", 2, most_steps);
  if (finetune.batch_tokens % finetune.context != 0) {
    batch.fail("tokens", batch.get("tokens"),
               "is no multiple of the context of " + std::to_string(finetune.context));
  }
  batch.refuse_others();
}

}  // namespace

namespace {

std::string name_of(const Input& input, std::string usual) {
  if (const auto* file = std::get_if<File>(&input.from))
    return file->path.empty() ? usual : file->path;
  if (const auto* run = std::get_if<RunOutput>(&input.from)) return run->file;
  const auto& url = std::get<Url>(input.from).url;
  return url.substr(url.rfind('/') + 1);
}

}  // namespace

std::string Finetune::data_name() const { return name_of(data, "data.jsonl"); }
std::string Finetune::base_name() const { return name_of(base, "base"); }

Finetune parse_finetune(Fields fields, const Source& source) {
  Finetune f;
  for (const auto& [key, input] : {std::pair{"base", &f.base}, std::pair{"data", &f.data}}) {
    *input = parse_input(fields, source, key);
    const bool folder = std::string_view(key) == "base";
    if (input->seeded() != nullptr || !input->tensor.empty() ||
        (folder && !std::holds_alternative<File>(input->from))) {
      fields.fail(key, fields.get(key), folder ? "is no folder" : "is no file",
                  folder ? "base = \"models/NAME\", or --input base=DIR" : std::string());
    }
  }
  if (fields.has("eval")) f.eval_millionths = parse_share(fields, "eval");
  if (fields.has("method")) {
    Fields method = fields.table("method");
    parse_lora(method.table("lora"), f);
    method.refuse_others();
  }
  if (fields.has("epochs") && fields.has("steps")) {
    fields.fail("steps", fields.get("steps"), "and epochs cannot both be given");
  }
  if (fields.has("epochs")) f.epochs = count(fields, "epochs", 1, 10'000);
  if (fields.has("steps")) f.steps = count(fields, "steps", 1, most_steps);
  if (fields.has("batch")) parse_batch(fields.table("batch"), f);
  if (fields.has("lr")) f.rate = fields.number("lr", 1e-12, 10);
  if (fields.has("schedule")) f.schedule = fields.choice("schedule", schedules);
  if (fields.has("warmup")) f.warmup = count(fields, "warmup", 0, most_steps);
  if (fields.has("weight_decay")) f.weight_decay = fields.number("weight_decay", 0, 10);
  if (fields.has("clip")) f.clip = fields.number("clip", 0, 1e6);
  if (fields.has("profile")) f.profile = fields.choice("profile", profiles);
  if (fields.has("seed")) f.seed = count(fields, "seed", 0, max_integer);
  if (fields.has("on_bad_line")) {
    f.skip_bad_lines = fields.choice("on_bad_line", on_bad_line) == "skip";
  }
  if (fields.has("turns")) f.answers_apart = fields.choice("turns", turns) == "apart";
  if (fields.has("span")) f.span = count(fields, "span", 1, most_steps);
  fields.refuse_others();
  return f;
}

Value finetune_value(const Finetune& f) {
  Value targets(all_linear);
  if (!f.targets.empty()) targets = Value::Array(f.targets.begin(), f.targets.end());
  const Value::Object lora{{"rank", f.rank},
                           {"alpha", f.alpha},
                           {"dropout", f.dropout},
                           {"targets", std::move(targets)}};
  Value::Object members{
      {"base", input_value(f.base)},
      {"data", input_value(f.data)},
      {"eval", share_text(f.eval_millionths)},
      {"method", Value::Object{{"lora", lora}}},
      {"batch", Value::Object{{"tokens", f.batch_tokens}, {"context", f.context}}},
      {"lr", f.rate},
      {"schedule", f.schedule},
      {"warmup", f.warmup},
      {"weight_decay", f.weight_decay},
      {"clip", f.clip},
      {"profile", f.profile},
      {"seed", f.seed},
      {"on_bad_line", f.skip_bad_lines ? "skip" : "error"},
      {"turns", f.answers_apart ? "apart" : "together"}};
  if (f.steps != 0) {
    members.emplace_back("steps", f.steps);
  } else {
    members.emplace_back("epochs", f.epochs);
  }
  if (f.span != 0) members.emplace_back("span", f.span);
  return members;
}

}  // namespace volt::schema
