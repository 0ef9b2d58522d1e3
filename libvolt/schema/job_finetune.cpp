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

constexpr std::array<std::string_view, 2> profiles{"i8x", "f32x"};
constexpr std::array<std::string_view, 3> schedules{"cosine", "linear", "constant"};
constexpr std::array<std::string_view, 2> bad_lines{"error", "skip"};
constexpr std::array<std::string_view, 2> turns{"together", "apart"};
constexpr std::string_view all_linear = "all-linear";
constexpr std::size_t max_targets = 64, max_target_bytes = 255;
constexpr std::int64_t max_steps = 10'000'000;
/// The largest context that a model may have.
constexpr std::int64_t max_context = 1 << 24;
/// Of a batch; rows and tokens of a batch then fit 32 bits.
constexpr std::int64_t max_tokens = std::int64_t{1} << 31;
constexpr double max_percent = 50, per_percent = 1e4;
/// 0 alone stands for no clipping: nothing that is not 0 may become 0 in fp32.
constexpr double least_clip = 1e-6;

std::uint64_t count(Fields& fields, std::string_view key, std::int64_t low, std::int64_t high) {
  return static_cast<std::uint64_t>(fields.integer(key, low, high));
}

/// A folder, or a file as it is: neither made from a seed nor one tensor of a file.
Input parse_whole(Fields& fields, const Source& source, std::string_view key, bool folder) {
  Input input = parse_input(fields, source, key);
  const bool plain = input.seeded() == nullptr && input.tensor.empty();
  if (!plain || (folder && !std::holds_alternative<File>(input.from))) {
    fields.fail(key, fields.get(key), folder ? "is no folder" : "is no file",
                folder ? "base = \"models/NAME\", or --input base=DIR"
                       : "data = \"train.jsonl\", or --input data=FILE");
  }
  return input;
}

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

/// Sorted, so that their order makes no other job.
std::vector<std::string> parse_targets(Fields& lora) {
  const Value& targets = lora.get("targets");
  if (const auto* word = targets.get_if<std::string>()) {
    if (*word == all_linear) return {};
    lora.fail("targets", targets, "is \"" + printable(*word) + "\"",
              "write \"all-linear\", or a list such as [\"q_proj\", \"v_proj\"]");
  }
  std::vector<std::string> names;
  for (const auto& item : lora.array("targets")) {
    const auto* name = item.get_if<std::string>();
    if (name == nullptr || name->empty() || name->size() > max_target_bytes ||
        names.size() == max_targets) {
      lora.fail("targets", item, "is no list of up to 64 names of matrices");
    }
    if (std::ranges::find(names, *name) != names.end()) {
      lora.fail("targets", item, "names \"" + printable(*name) + "\" twice");
    }
    names.push_back(*name);
  }
  if (names.empty()) lora.fail("targets", targets, "names no matrix");
  std::ranges::sort(names);
  return names;
}

void parse_lora(Fields lora, Finetune& finetune) {
  if (lora.has("rank")) finetune.rank = count(lora, "rank", 1, 4096);
  if (lora.has("alpha")) finetune.alpha = lora.number("alpha", 1e-3, 1e6);
  if (lora.has("dropout")) finetune.dropout = lora.number("dropout", 0, 0.95);
  if (lora.has("targets")) finetune.targets = parse_targets(lora);
  lora.refuse_others();
}

void parse_batch(Fields batch, Finetune& finetune) {
  if (batch.has("context")) finetune.context = count(batch, "context", 2, max_context);
  // As many whole rows as the usual batch holds.
  finetune.batch_tokens -= finetune.batch_tokens % finetune.context;
  finetune.batch_tokens = std::max(finetune.batch_tokens, finetune.context);
  if (batch.has("tokens")) finetune.batch_tokens = count(batch, "tokens", 2, max_tokens);
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
  if (fields.has("epochs")) f.epochs = count(fields, "epochs", 1, 10'000);
  if (fields.has("steps")) f.steps = count(fields, "steps", 1, max_steps);
  if (fields.has("warmup")) f.warmup = count(fields, "warmup", 0, max_steps);
  if (fields.has("span")) f.span = count(fields, "span", 1, max_steps);
}

void parse_optimizer(Fields& fields, Finetune& f) {
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

namespace {

std::string name_of(const Input& input, std::string usual) {
  if (const auto* file = std::get_if<File>(&input.from))
    return file->path.empty() ? usual : file->path;
  if (const auto* run = std::get_if<RunOutput>(&input.from)) return run->file;
  const auto& url = std::get<Url>(input.from).url;
  const std::string path = url.substr(0, url.find_first_of("?#"));
  return path.substr(path.rfind('/') + 1);
}

}  // namespace

std::string Finetune::data_name() const { return name_of(data, "data.jsonl"); }
std::string Finetune::base_name() const { return name_of(base, "base"); }

Finetune parse_finetune(Fields fields, const Source& source) {
  Finetune f;
  f.base = parse_whole(fields, source, "base", true);
  f.data = parse_whole(fields, source, "data", false);
  if (fields.has("eval")) f.eval_millionths = parse_share(fields, "eval");
  if (fields.has("method")) {
    Fields method = fields.table("method");
    parse_lora(method.table("lora"), f);
    method.refuse_others();
  }
  parse_length(fields, f);
  if (fields.has("batch")) parse_batch(fields.table("batch"), f);
  parse_optimizer(fields, f);
  if (fields.has("profile")) f.profile = fields.choice("profile", profiles);
  if (fields.has("seed")) f.seed = count(fields, "seed", 0, max_integer);
  if (fields.has("on_bad_line")) {
    f.skip_bad_lines = fields.choice("on_bad_line", bad_lines) == "skip";
  }
  if (fields.has("turns")) f.answers_apart = fields.choice("turns", turns) == "apart";
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
