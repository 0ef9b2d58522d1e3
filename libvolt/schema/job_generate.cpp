// SPDX-License-Identifier: Apache-2.0
#include "libvolt/base/text.hpp"
#include "libvolt/schema/job_tables.hpp"

namespace volt::schema {
namespace {

using doc::Fields;
using doc::Source;
using doc::Value;

/// 0 alone stands for the likeliest token; what is nearly 0 would only make logits overflow.
constexpr double least_temperature = 0.01;

void parse_prompt(Fields& fields, const Source& source, Generate& g) {
  if (fields.has("prompt") && fields.has("prompts")) {
    fields.fail("prompts", fields.get("prompts"), "and prompt cannot both be given");
  }
  if (fields.has("prompts")) {
    g.prompts = parse_whole(fields, source, "prompts", false);
  } else {
    g.prompt = fields.string("prompt");
  }
}

}  // namespace

std::string Generate::prompts_name() const {
  return prompts ? name_of(*prompts, "prompts.jsonl") : "prompt";
}

Generate parse_generate(Fields fields, const Source& source) {
  Generate g;
  g.base = parse_whole(fields, source, "base", true);
  if (fields.has("base_format")) g.base_format = fields.choice("base_format", base_formats);
  if (fields.has("adapter")) g.adapter = parse_whole(fields, source, "adapter", true);
  parse_prompt(fields, source, g);
  if (fields.has("tokens")) g.tokens = parse_count(fields, "tokens", 1, max_context);
  if (fields.has("temperature")) {
    g.temperature = fields.number("temperature", 0, 100);
    if (g.temperature != 0 && g.temperature < least_temperature) {
      fields.fail("temperature", fields.get("temperature"),
                  "is " + to_text(g.temperature) + ", neither 0 nor " + to_text(least_temperature) +
                      " or more");
    }
  }
  if (fields.has("top_p")) g.top_p = fields.number("top_p", 1e-6, 1);
  if (fields.has("seed")) g.seed = parse_count(fields, "seed", 0, max_integer);
  if (fields.has("profile")) g.profile = fields.choice("profile", exact_profiles);
  fields.refuse_others();
  return g;
}

Value generate_value(const Generate& g) {
  Value::Object members{{"base", input_value(g.base)},
                        {"base_format", g.base_format},
                        {"tokens", g.tokens},
                        {"temperature", g.temperature},
                        {"top_p", g.top_p},
                        {"seed", g.seed},
                        {"profile", g.profile}};
  if (g.adapter) members.emplace_back("adapter", input_value(*g.adapter));
  if (g.prompts) {
    members.emplace_back("prompts", input_value(*g.prompts));
  } else {
    members.emplace_back("prompt", *g.prompt);
  }
  return members;
}

}  // namespace volt::schema
