// SPDX-License-Identifier: Apache-2.0

// Of a finetune: what is trained, what it is made of, and when it ends early.

#include <algorithm>
#include <array>

#include "libvolt/base/text.hpp"
#include "libvolt/schema/job_tables.hpp"

namespace volt::schema {
namespace {

using doc::Fields;
using doc::Value;

constexpr std::array<std::string_view, 3> activations{"silu", "gelu", "era"};
constexpr std::string_view all_linear = "all-linear";
constexpr std::size_t max_targets = 64, max_target_bytes = 255;
constexpr std::int64_t max_width = 65'536;

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

void parse_adapter(Fields& table, Method& method) {
  if (table.has("rank")) method.rank = parse_count(table, "rank", 1, 4096);
  if (table.has("alpha")) method.alpha = table.number("alpha", 1e-3, 1e6);
  if (table.has("targets")) method.targets = parse_targets(table);
}

Method parse_lora(Fields lora) {
  Method method;
  parse_adapter(lora, method);
  if (lora.has("dropout")) method.dropout = lora.number("dropout", 0, 0.95);
  lora.refuse_others();
  return method;
}

/// Defaults are those of the paper's experiments (arXiv 2510.08396).
Method parse_flylora(Fields flylora) {
  Method method;
  method.kind = Method::Kind::flylora;
  method.rank = 32;
  method.alpha = 64;
  parse_adapter(flylora, method);
  method.active = std::min<std::uint64_t>(method.active, method.rank);
  if (flylora.has("active")) method.active = parse_count(flylora, "active", 1, 4096);
  if (method.active > method.rank) {
    flylora.fail("active", flylora.get("active"),
                 "is more than the rank of " + std::to_string(method.rank));
  }
  if (flylora.has("balance")) method.balance = flylora.number("balance", 0, 1);
  flylora.refuse_others();
  return method;
}

Method parse_full(Fields full) {
  full.refuse_others();
  Method method;
  method.kind = Method::Kind::full;
  return method;
}

/// Of the size that Llama's have: 8/3 of the width, in whole groups of 128.
std::uint64_t usual_ff_width(std::uint64_t width) { return (width * 8 / 3 + 127) / 128 * 128; }

}  // namespace

Method parse_method(Fields& parent) {
  Fields method = parent.table("method");
  constexpr std::array<std::string_view, 3> kinds{"lora", "flylora", "full"};
  const auto given = std::ranges::count_if(kinds, [&](auto kind) { return method.has(kind); });
  Method parsed;
  if (method.has("lora")) parsed = parse_lora(method.table("lora"));
  if (method.has("flylora")) parsed = parse_flylora(method.table("flylora"));
  if (method.has("full")) parsed = parse_full(method.table("full"));
  method.refuse_others();
  if (given != 1) {
    parent.fail("method", parent.get("method"), given == 0 ? "names no method" : "names several",
                "write { lora = {} }, { flylora = {} } or { full = {} }");
  }
  return parsed;
}

Value method_value(const Method& method) {
  if (method.kind == Method::Kind::full) return Value::Object{{"full", Value::Object{}}};
  Value targets(all_linear);
  if (!method.targets.empty()) targets = Value::Array(method.targets.begin(), method.targets.end());
  Value::Object members{
      {"rank", method.rank}, {"alpha", method.alpha}, {"targets", std::move(targets)}};
  if (method.kind == Method::Kind::lora) {
    members.emplace_back("dropout", method.dropout);
    return Value::Object{{"lora", std::move(members)}};
  }
  members.emplace_back("active", method.active);
  members.emplace_back("balance", method.balance);
  return Value::Object{{"flylora", std::move(members)}};
}

NewModel parse_model(Fields fields) {
  NewModel model;
  if (fields.has("layers")) model.layers = parse_count(fields, "layers", 1, 1024);
  if (fields.has("width")) model.width = parse_count(fields, "width", 2, max_width);
  if (fields.has("heads")) model.heads = parse_count(fields, "heads", 1, max_width);
  if (model.width % (2 * model.heads) != 0) {
    fields.fail(fields.has("heads") ? "heads" : "width",
                fields.get(fields.has("heads") ? "heads" : "width"),
                "does not cut a width of " + std::to_string(model.width) + " into " +
                    std::to_string(model.heads) + " heads of an even width");
  }
  model.kv_heads = model.heads;
  if (fields.has("kv_heads")) {
    model.kv_heads = parse_count(fields, "kv_heads", 1, max_width);
    if (model.heads % model.kv_heads != 0)
      fields.fail("kv_heads", fields.get("kv_heads"),
                  "does not divide the " + std::to_string(model.heads) + " heads");
  }
  model.ff_width = std::min<std::uint64_t>(usual_ff_width(model.width), max_width);
  if (fields.has("ff_width")) model.ff_width = parse_count(fields, "ff_width", 1, max_width);
  if (fields.has("context")) model.context = parse_count(fields, "context", 2, max_context);
  if (fields.has("activation")) model.activation = fields.choice("activation", activations);
  if (model.activation == "era") {
    if (fields.has("temperature")) model.temperature = fields.number("temperature", 1e-3, 1e3);
    if (fields.has("lambda")) model.lambda = fields.number("lambda", -10, 10);
  }
  fields.refuse_others();
  return model;
}

Value model_value(const NewModel& model) {
  Value::Object members{{"layers", model.layers},        {"width", model.width},
                        {"heads", model.heads},          {"kv_heads", model.kv_heads},
                        {"ff_width", model.ff_width},    {"context", model.context},
                        {"activation", model.activation}};
  if (model.activation == "era") {
    members.emplace_back("temperature", model.temperature);
    members.emplace_back("lambda", model.lambda);
  }
  return members;
}

StopRule parse_stop_rule(Fields& parent) {
  Fields rule = parent.table("stop_when");
  StopRule stop;
  if (rule.has("patience")) stop.patience = parse_count(rule, "patience", 1, max_steps);
  if (rule.has("min_delta")) stop.min_delta = rule.number("min_delta", 0, 1e6);
  if (rule.has("confidence")) stop.confidence = rule.number("confidence", 0, 1);
  rule.refuse_others();
  if (!stop.any()) {
    parent.fail("stop_when", parent.get("stop_when"), "names neither a patience nor a confidence",
                "write { patience = 3 } or { confidence = 0.85 }");
  }
  if (rule.has("min_delta") && stop.patience == 0) {
    rule.fail("min_delta", rule.get("min_delta"), "is for a patience, and there is none",
              "add patience = 3, or leave it out");
  }
  return stop;
}

Value stop_rule_value(const StopRule& stop) {
  Value::Object members;
  if (stop.patience != 0) {
    members.emplace_back("patience", stop.patience);
    members.emplace_back("min_delta", stop.min_delta);
  }
  if (stop.confidence) members.emplace_back("confidence", *stop.confidence);
  return members;
}

}  // namespace volt::schema
