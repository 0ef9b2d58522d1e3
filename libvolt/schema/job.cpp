// SPDX-License-Identifier: Apache-2.0
#include "libvolt/schema/job.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include "libvolt/base/quantities.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/schema/job_tables.hpp"

namespace volt::schema {
namespace {

using doc::Fields;
using doc::Source;
using doc::Value;

constexpr std::array<std::string_view, 4> product_levels{"L0", "L2", "L4", "all"};
constexpr std::array<std::string_view, 3> model_levels{"L0", "L2", "all"};
constexpr std::array<std::string_view, 2> program_levels{"L0", "all"};

/// What there is to say of a workload.
struct Workload {
  std::string_view name;
  std::span<const std::string_view> levels;
  void (*parse)(Job& job, Fields fields, const Source& source);
  Value (*value)(const Job& job);
  const std::string& (*profile)(const Job& job);
};

constexpr Workload workloads[] = {
    {"matmul", product_levels,
     [](Job& job, Fields fields, const Source& source) {
       job.matmul = parse_matmul(std::move(fields), source);
     },
     [](const Job& job) { return matmul_value(job.matmul); },
     [](const Job& job) -> const std::string& { return job.matmul.profile; }},
    {"finetune", model_levels,
     [](Job& job, Fields fields, const Source& source) {
       job.finetune = parse_finetune(std::move(fields), source);
     },
     [](const Job& job) { return finetune_value(job.finetune); },
     [](const Job& job) -> const std::string& { return job.finetune.profile; }},
    {"generate", model_levels,
     [](Job& job, Fields fields, const Source& source) {
       job.generate = parse_generate(std::move(fields), source);
     },
     [](const Job& job) { return generate_value(job.generate); },
     [](const Job& job) -> const std::string& { return job.generate.profile; }},
    {"command", program_levels,
     [](Job& job, Fields fields, const Source& source) {
       job.command = parse_command(std::move(fields), source);
     },
     [](const Job& job) { return command_value(job.command); },
     [](const Job&) -> const std::string& {
       static const std::string none = "none";
       return none;
     }},
};

const Workload& workload_of(const Job& job) {
  return *std::ranges::find(workloads, job.workload, &Workload::name);
}

constexpr const char* no_plain_name = "is no plain file name";

/// [a-z0-9][a-z0-9._-]{0,62}
bool is_name(std::string_view text) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !text.empty() && text.size() <= 63 && plain(text.front()) &&
         std::all_of(text.begin(), text.end(),
                     [&](char c) { return plain(c) || c == '.' || c == '_' || c == '-'; });
}

/// A file's stem made into a name: what does not fit becomes '-'.
std::string name_from(std::string_view stem) {
  std::string name;
  for (const char c : stem.substr(0, 63)) {
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    name += is_name(std::string("a") + lower) ? lower : '-';
  }
  if (!is_name(name)) name.insert(name.begin(), 'j');
  return name.substr(0, 63);
}

Resources parse_resources(Fields fields) {
  Resources resources;
  if (fields.has("gpus"))
    resources.gpus = static_cast<std::uint64_t>(fields.integer("gpus", 0, 64));
  fields.refuse_others();
  return resources;
}

Limits parse_limits(Fields fields, bool command) {
  Limits limits;
  if (fields.has("time")) {
    limits.time = parse_duration(fields.string("time"));
    const char* what = !limits.time ? "is no duration" : "must be more than nothing";
    if (!limits.time || limits.time->count() == 0) {
      fields.fail("time", fields.get("time"), what, "write 90s, 10m or 1h30m");
    }
  }
  const auto memory = [&](std::string_view key) {
    const auto bytes = parse_memory(fields.string(key));
    if (!bytes || *bytes == 0) {
      fields.fail(key, fields.get(key), "is no amount of bytes", "write 512 MB or 8 GiB");
    }
    return bytes;
  };
  if (fields.has("memory")) limits.memory_bytes = memory("memory");
  if (fields.has("disk")) limits.disk_bytes = memory("disk");
  if (command && fields.has("processes")) {
    limits.processes = static_cast<std::uint64_t>(fields.integer("processes", 1, 4'194'304));
  }
  if (command && fields.has("network")) limits.network = fields.boolean("network");
  fields.refuse_others();
  return limits;
}

ProofPolicy parse_proof(Fields fields, const Job& job) {
  ProofPolicy proof = job.proof;
  if (fields.has("level")) proof.level = fields.choice("level", workload_of(job).levels);
  if (job.is_command()) {
    fields.refuse_others();
    return proof;
  }
  if (proof.level == "L4" && job.profile() != "i8") {
    fields.fail("level", fields.get("level"), "needs the profile i8, not " + job.profile(),
                "only integer products have an algebraic check; \"all\" covers every profile");
  }
  if (fields.has("catch")) proof.catch_share = fields.number("catch", 1e-6, 1);
  if (fields.has("error")) proof.error = fields.number("error", 1e-30, 0.5);
  if (proof.demand() != Demand::output && proof.draws() > max_draws) {
    const char* key = fields.has("catch") ? "catch" : "error";
    fields.fail(key, fields.get(key),
                "makes " + std::to_string(proof.draws()) + " draws necessary, more than 1000000",
                "level = \"all\" looks at every element");
  }
  fields.refuse_others();
  return proof;
}

}  // namespace

/// A path below a folder, in its plainest form: "data/train.csv".
bool is_plain_path(std::string_view path) {
  if (path.empty() || path.size() > 1024 || printable(path, 2048) != path) return false;
  for (const auto part : split(path, '/')) {
    if (part.empty() || part == "." || part == ".." || part.size() > 255) return false;
  }
  return path.back() != '/';
}

std::string why_no_output(std::string_view path) {
  constexpr std::array<std::string_view, 5> ours{"receipt.json", "job.json", "run.json",
                                                 "metrics.jsonl", "loss.svg"};
  if (!is_plain_path(path)) return no_plain_name;
  const auto first = split(path, '/').front();
  const bool is_ours = first.front() == '.' || std::ranges::find(ours, first) != ours.end();
  return is_ours ? "is a name that volt uses itself" : "";
}

void check_output_name(std::string_view name, const Fields& fields, std::string_view key,
                       const Value& value) {
  const bool in_folder = name.find('/') != std::string_view::npos;
  const std::string why = in_folder ? no_plain_name : why_no_output(name);
  if (why.empty()) return;
  fields.fail(key, value, why,
              why == no_plain_name ? "outputs lie in the run folder itself" : "choose another one");
}

Demand ProofPolicy::demand() const {
  if (level == "L0") return Demand::identity;
  return level == "L2" ? Demand::work : Demand::output;
}

std::uint64_t ProofPolicy::draws() const {
  if (catch_share >= 1) return 1;
  return static_cast<std::uint64_t>(std::ceil(std::log(error) / std::log1p(-catch_share)));
}

ProofPolicy ProofPolicy::at_least(const ProofPolicy& usual) const {
  ProofPolicy stricter = *this;
  if (level == "L0") stricter.level = usual.level;
  stricter.catch_share = std::min(catch_share, usual.catch_share);
  stricter.error = std::min(error, usual.error);
  return stricter;
}

const std::string& Job::profile() const { return workload_of(*this).profile(*this); }

std::vector<std::string> Job::outputs() const {
  if (is_finetune()) return finetune.outputs();
  if (is_generate()) return {"tokens.bin", "generated.jsonl"};
  if (is_command()) return {};
  if (matmul.image.empty()) return {matmul.out};
  return {matmul.out, matmul.image};
}

std::vector<std::pair<std::string_view, Input*>> Job::inputs() {
  if (is_finetune()) {
    if (!finetune.model) return {{"base", &finetune.base}, {"data", &finetune.data}};
    if (!finetune.tokenizer) return {{"data", &finetune.data}};
    return {{"data", &finetune.data}, {"tokenizer", &*finetune.tokenizer}};
  }
  if (is_generate()) {
    std::vector<std::pair<std::string_view, Input*>> all{{"base", &generate.base}};
    if (generate.adapter) all.emplace_back("adapter", &*generate.adapter);
    if (generate.prompts) all.emplace_back("prompts", &*generate.prompts);
    return all;
  }
  if (!is_command()) return {{"a", &matmul.a}, {"b", &matmul.b}};
  std::vector<std::pair<std::string_view, Input*>> all;
  for (auto& input : command.inputs) all.emplace_back(input.first, &input.second);
  return all;
}

std::vector<std::pair<std::string_view, const Input*>> Job::inputs() const {
  const auto all = const_cast<Job*>(this)->inputs();
  return {all.begin(), all.end()};
}

bool Job::reads(std::string_view input, std::string_view file) const {
  if (!needs_folder(input)) return true;
  if (input == "adapter") return std::ranges::count(adapter_files, file) != 0;
  constexpr std::string_view texts[] = {"config.json", "tokenizer.json", "tokenizer_config.json",
                                        "chat_template.jinja"};
  if (std::ranges::count(texts, file) != 0) return true;
  return input == "base" && file.find('/') == std::string_view::npos &&
         (file.ends_with(".safetensors") || file.ends_with(".safetensors.index.json"));
}

ProofPolicy usual_policy(const Job& job) {
  ProofPolicy usual;
  if (job.is_command()) usual.level = "L0";
  if (job.has_model()) {
    // There are about as many units as the root of the steps: to catch one wrong in a hundred, each
    // would have to be computed again. Of texts there may be more, but a pass over one costs much.
    usual.catch_share = 0.1;
    usual.error = 0.01;
  }
  return usual;
}

Job parse_job(const Value& value, const Source& source, std::string_view stem) {
  Fields fields(value, source);
  const auto& schema = fields.string("schema");
  if (schema != job_schema) {
    const bool newer = schema.starts_with("volt.job/");
    fields.fail("schema", fields.get("schema"),
                "is " + std::string("\"") + printable(schema) + "\", not \"volt.job/1\"",
                newer ? "this job was made for a newer volt: install that one" : std::string());
  }
  Job job;
  job.name = fields.has("name") ? fields.string("name") : name_from(stem);
  if (!is_name(job.name)) {
    fields.fail("name", fields.get("name"), "is \"" + printable(job.name) + "\", which is no name",
                "use lower-case letters, digits, '.', '_' and '-', at most 63");
  }
  std::vector<std::string_view> names;
  for (const auto& workload : workloads) names.push_back(workload.name);
  job.workload = fields.choice("workload", names);
  job.proof = usual_policy(job);
  if (fields.has("limits")) job.limits = parse_limits(fields.table("limits"), job.is_command());
  workload_of(job).parse(job, fields.table(job.workload), source);
  if (job.is_command() && fields.has("resources")) {
    job.resources = parse_resources(fields.table("resources"));
  }
  if (fields.has("proof")) job.proof = parse_proof(fields.table("proof"), job);
  fields.refuse_others();
  return job;
}

namespace {

Value limits_value(const Job& job) {
  Value::Object limits;
  if (job.limits.time) {
    limits.emplace_back("time", std::to_string(job.limits.time->count()) + "s");
  }
  if (job.limits.memory_bytes) {
    limits.emplace_back("memory", std::to_string(*job.limits.memory_bytes) + " B");
  }
  if (job.limits.disk_bytes) {
    limits.emplace_back("disk", std::to_string(*job.limits.disk_bytes) + " B");
  }
  if (job.limits.processes) limits.emplace_back("processes", *job.limits.processes);
  if (job.is_command()) limits.emplace_back("network", job.limits.network);
  return limits;
}

}  // namespace

Value to_value(const Job& job) {
  Value::Object members{{"schema", job_schema}, {"name", job.name}, {"workload", job.workload}};
  Value::Object proof{{"level", job.proof.level}};
  members.emplace_back(job.workload, workload_of(job).value(job));
  if (job.is_command()) {
    members.emplace_back("resources", Value::Object{{"gpus", job.resources.gpus}});
  } else {
    proof.emplace_back("catch", job.proof.catch_share);
    proof.emplace_back("error", job.proof.error);
  }
  members.emplace_back("limits", limits_value(job));
  members.emplace_back("proof", std::move(proof));
  return members;
}

}  // namespace volt::schema
