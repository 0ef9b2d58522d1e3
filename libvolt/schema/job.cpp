// SPDX-License-Identifier: Apache-2.0
#include "libvolt/schema/job.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "libvolt/base/quantities.hpp"
#include "libvolt/base/text.hpp"
#include "libvolt/schema/pattern.hpp"

namespace volt::schema {
namespace {

using doc::Fields;
using doc::Source;
using doc::Value;

constexpr std::array<std::string_view, 3> profiles{"f32x", "i8x", "i8"};
constexpr std::array<std::string_view, 4> levels{"L0", "L2", "L4", "all"};
constexpr std::array<std::string_view, 2> command_levels{"L0", "all"};
constexpr std::array<std::string_view, 2> workloads{"matmul", "command"};
constexpr std::size_t max_words = 4096, max_word_bytes = 65'536;
constexpr const char* no_plain_name = "is no plain file name";
/// Larger extents could not be multiplied within a human life, and products of two fit 64 bits.
constexpr std::int64_t max_extent = std::int64_t{1} << 31;

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

void check_path(const std::string& path, const Fields& fields, std::string_view key,
                const Value& value) {
  if (path.empty() || path.size() > 4096 || path.find('\0') != std::string::npos) {
    fields.fail(key, value, "is no usable path");
  }
  if (path.front() == '/') {
    fields.fail(key, value, "is an absolute path",
                "a path in a job stays below the job's folder; for any other file leave it out and "
                "give --input on the command line");
  }
}

Seeded parse_seeded(Fields& fields) {
  Seeded seeded;
  seeded.seed = static_cast<std::uint64_t>(fields.integer("seed", 0, max_integer));
  const auto& shape = fields.array("shape");
  if (shape.size() != 2) {
    fields.fail("shape", fields.get("shape"), "must have two extents, such as [512, 256]");
  }
  for (const auto& extent : shape) {
    const auto* count = extent.get_if<std::int64_t>();
    if (count == nullptr || *count < 0 || *count > max_extent) {
      fields.fail("shape", extent, "has an extent that is not a whole number from 0 to 2147483648");
    }
    seeded.shape.push_back(static_cast<std::uint64_t>(*count));
  }
  return seeded;
}

Input parse_input(Fields& parent, const Source& source, std::string_view key) {
  Input input;
  const Value* value = parent.find(key);
  if (value == nullptr) {
    input.from = File{};
    return input;
  }
  input.mark = value->mark;
  input.end = value->end;
  if (const auto* path = value->get_if<std::string>()) {
    check_path(*path, parent, key, *value);
    input.from = File{*path};
    return input;
  }
  if (value->get_if<Value::Object>() == nullptr) {
    parent.fail(key, *value, "is " + std::string(value->kind()) + ", not an input",
                "an input is \"a.npy\" or a table with path, url, run or seed");
  }
  Fields fields(*value, source, parent.path() + "." + std::string(key));
  const int ways = int{fields.has("path")} + int{fields.has("url")} + int{fields.has("run")} +
                   int{fields.has("seed")};
  if (ways > 1) {
    parent.fail(key, *value, "names more than one of path, url, run and seed");
  }
  if (fields.has("seed")) {
    input.from = parse_seeded(fields);
    fields.refuse_others();
    return input;
  }
  if (fields.has("url")) {
    input.from = Url{fields.string("url")};
  } else if (fields.has("run")) {
    RunOutput run{fields.string("run"), fields.string("file")};
    check_path(run.folder, fields, "run", fields.get("run"));
    check_output_name(run.file, fields, "file", fields.get("file"));
    input.from = run;
  } else if (fields.has("path")) {
    const auto& path = fields.string("path");
    check_path(path, fields, "path", fields.get("path"));
    input.from = File{path};
  } else {
    input.from = File{};
  }
  if (fields.has("sha256")) input.sha256 = fields.digest("sha256");
  if (fields.has("tensor")) input.tensor = fields.string("tensor");
  fields.refuse_others();
  return input;
}

Matmul parse_matmul(Fields fields, const Source& source) {
  Matmul matmul;
  matmul.a = parse_input(fields, source, "a");
  matmul.b = parse_input(fields, source, "b");
  if (fields.has("transpose_a")) matmul.transpose_a = fields.boolean("transpose_a");
  if (fields.has("transpose_b")) matmul.transpose_b = fields.boolean("transpose_b");
  if (matmul.transpose_a && matmul.transpose_b) {
    fields.fail("transpose_b", fields.get("transpose_b"), "and transpose_a cannot both be true",
                "the product of two transposed matrices is (B * A) transposed: swap a and b");
  }
  if (fields.has("out")) matmul.out = fields.string("out");
  const auto ends_with = [](std::string_view text, std::string_view tail) {
    return text.size() > tail.size() && text.substr(text.size() - tail.size()) == tail;
  };
  if (!ends_with(matmul.out, ".npy")) {
    fields.fail("out", fields.get("out"), "does not end in .npy");
  }
  if (fields.has("out")) check_output_name(matmul.out, fields, "out", fields.get("out"));
  if (fields.has("profile")) matmul.profile = fields.choice("profile", profiles);
  if (fields.has("image")) {
    matmul.image = fields.string("image");
    if (!ends_with(matmul.image, ".pgm")) {
      fields.fail("image", fields.get("image"), "does not end in .pgm",
                  "the picture is a portable graymap");
    }
    check_output_name(matmul.image, fields, "image", fields.get("image"));
  }
  fields.refuse_others();
  return matmul;
}

/// A path below a folder, in its plainest form: "data/train.csv".
bool is_plain_path(std::string_view path) {
  if (path.empty() || path.size() > 1024 || printable(path, 2048) != path) return false;
  for (const auto part : split(path, '/')) {
    if (part.empty() || part == "." || part == ".." || part.size() > 255) return false;
  }
  return path.back() != '/';
}

std::vector<std::string> parse_words(Fields& fields, std::string_view key) {
  std::vector<std::string> words;
  const auto& array = fields.array(key);
  if (array.size() > max_words) fields.fail(key, fields.get(key), "has more than 4096 entries");
  for (const auto& item : array) {
    const auto* word = item.get_if<std::string>();
    if (word == nullptr || word->find('\0') != std::string::npos || word->size() > max_word_bytes) {
      fields.fail(key, item, "is no list of texts of at most 65536 bytes");
    }
    words.push_back(*word);
  }
  return words;
}

void parse_environment(Fields& fields, Command& command) {
  if (fields.has("env")) {
    Fields table = fields.table("env");
    for (const auto& [name, value] : *fields.get("env").get_if<Value::Object>()) {
      if (!is_variable(name)) {
        table.fail(name, value, "is no name of a variable", "use letters, digits and '_'");
      }
      const auto& text = table.string(name);
      if (text.find('\0') != std::string::npos || text.size() > max_word_bytes) {
        table.fail(name, value, "is no text of at most 65536 bytes");
      }
      command.env.emplace_back(name, text);
    }
    std::ranges::sort(command.env);
  }
  if (fields.has("secrets")) command.secrets = parse_words(fields, "secrets");
  for (const auto& name : command.secrets) {
    if (!is_variable(name)) {
      fields.fail("secrets", fields.get("secrets"),
                  "names \"" + printable(name) + "\", which is no variable",
                  "give names only: the values come from your environment or --secret NAME=FILE");
    }
    const bool twice =
        std::ranges::count(command.secrets, name) > 1 ||
        std::ranges::any_of(command.env, [&](auto& one) { return one.first == name; });
    if (twice) {
      fields.fail("secrets", fields.get("secrets"), "names " + name + ", which is set twice");
    }
  }
  std::ranges::sort(command.secrets);
}

void parse_inputs(Fields& fields, const Source& source, Command& command) {
  if (!fields.has("inputs")) return;
  Fields table = fields.table("inputs");
  const auto& members = *fields.get("inputs").get_if<Value::Object>();
  if (members.size() > max_words) {
    fields.fail("inputs", fields.get("inputs"), "has more than 4096 entries");
  }
  for (const auto& [name, value] : members) {
    if (!is_plain_path(name) || name.find('=') != std::string::npos) {
      table.fail(name, value, "is no usable name in the working folder",
                 "such as \"data/train.csv\"; where the file comes from is the value");
    }
    command.inputs.emplace_back(name, parse_input(table, source, name));
    const auto& input = command.inputs.back().second;
    if (input.seeded() != nullptr || !input.tensor.empty()) {
      table.fail(name, value, "is of a kind that only matmul has",
                 "a command takes files as they are");
    }
  }
  std::ranges::sort(command.inputs, {}, [](const auto& one) { return one.first; });
  for (const auto& [name, input] : command.inputs) {
    for (auto slash = name.find('/'); slash != std::string::npos;
         slash = name.find('/', slash + 1)) {
      const auto folder = name.substr(0, slash);
      if (table.has(folder))
        table.fail(name, table.get(name), "lies below another input, " + folder);
    }
  }
}

void check_patterns(const std::vector<std::string>& patterns, const Fields& fields,
                    std::string_view key, const Value& value) {
  for (const auto& pattern : patterns) {
    if (!is_plain_path(pattern) || split(pattern, '/').size() > max_depth) {
      fields.fail(key, value,
                  "has \"" + printable(pattern) +
                      "\", which names nothing below the "
                      "working folder",
                  "such as \"model.bin\", \"logs/*.txt\" or \"out/**\"");
    }
  }
}

Command parse_command(Fields fields, const Source& source) {
  Command command;
  command.argv = parse_words(fields, "argv");
  if (command.argv.empty() || command.argv.front().empty()) {
    fields.fail("argv", fields.get("argv"), "names no program",
                "argv = [\"python3\", \"train.py\"]");
  }
  parse_environment(fields, command);
  parse_inputs(fields, source, command);
  for (const auto& [key, patterns] :
       {std::pair{"outputs", &command.outputs}, std::pair{"optional", &command.optional}}) {
    if (!fields.has(key)) continue;
    *patterns = parse_words(fields, key);
    check_patterns(*patterns, fields, key, fields.get(key));
  }
  fields.refuse_others();
  return command;
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

ProofPolicy parse_proof(Fields fields, const Matmul& matmul) {
  ProofPolicy proof;
  if (fields.has("level")) proof.level = fields.choice("level", levels);
  if (proof.level == "L4" && matmul.profile != "i8") {
    fields.fail("level", fields.get("level"), "needs the profile i8, not " + matmul.profile,
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

ProofPolicy parse_command_proof(Fields fields, ProofPolicy proof) {
  if (fields.has("level")) {
    proof.level = fields.choice("level", command_levels);
  }
  fields.refuse_others();
  return proof;
}

Value input_value(const Input& input) {
  Value::Object members;
  if (const auto* seeded = input.seeded()) {
    Value::Array shape(seeded->shape.begin(), seeded->shape.end());
    return Value::Object{{"seed", seeded->seed}, {"shape", std::move(shape)}};
  }
  if (const auto* file = std::get_if<File>(&input.from); file && !file->path.empty()) {
    members.emplace_back("path", file->path);
  } else if (const auto* url = std::get_if<Url>(&input.from)) {
    members.emplace_back("url", url->url);
  } else if (const auto* run = std::get_if<RunOutput>(&input.from)) {
    members.emplace_back("run", run->folder);
    members.emplace_back("file", run->file);
  }
  if (input.sha256) members.emplace_back("sha256", input.sha256->hex());
  if (!input.tensor.empty()) members.emplace_back("tensor", input.tensor);
  return members;
}

}  // namespace

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

std::vector<std::pair<std::string_view, Input*>> Job::inputs() {
  if (!is_command()) return {{"a", &matmul.a}, {"b", &matmul.b}};
  std::vector<std::pair<std::string_view, Input*>> all;
  for (auto& input : command.inputs) all.emplace_back(input.first, &input.second);
  return all;
}

std::vector<std::pair<std::string_view, const Input*>> Job::inputs() const {
  const auto all = const_cast<Job*>(this)->inputs();
  return {all.begin(), all.end()};
}

ProofPolicy usual_policy(const Job& job) {
  ProofPolicy usual;
  if (job.is_command()) usual.level = "L0";
  return usual;
}

bool is_variable(std::string_view name) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !name.empty() && name.size() <= 255 && letter(name.front()) &&
         std::ranges::all_of(name, [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
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
  job.workload = fields.choice("workload", workloads);
  job.proof = usual_policy(job);
  if (fields.has("limits")) job.limits = parse_limits(fields.table("limits"), job.is_command());
  if (job.is_command()) {
    job.command = parse_command(fields.table("command"), source);
    if (fields.has("resources")) job.resources = parse_resources(fields.table("resources"));
    if (fields.has("proof")) job.proof = parse_command_proof(fields.table("proof"), job.proof);
  } else {
    job.matmul = parse_matmul(fields.table("matmul"), source);
    if (fields.has("proof")) job.proof = parse_proof(fields.table("proof"), job.matmul);
  }
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

Value matmul_value(const Matmul& m) {
  Value::Object matmul{
      {"a", input_value(m.a)},        {"b", input_value(m.b)}, {"transpose_a", m.transpose_a},
      {"transpose_b", m.transpose_b}, {"out", m.out},          {"profile", m.profile}};
  if (!m.image.empty()) matmul.emplace_back("image", m.image);
  return matmul;
}

Value command_value(const Command& c) {
  const auto list = [](const auto& words) { return Value::Array(words.begin(), words.end()); };
  Value::Object env, inputs;
  for (const auto& [name, value] : c.env) env.emplace_back(name, value);
  for (const auto& [name, input] : c.inputs) inputs.emplace_back(name, input_value(input));
  return Value::Object{{"argv", list(c.argv)},       {"env", std::move(env)},
                       {"secrets", list(c.secrets)}, {"inputs", std::move(inputs)},
                       {"outputs", list(c.outputs)}, {"optional", list(c.optional)}};
}

}  // namespace

Value to_value(const Job& job) {
  Value::Object members{{"schema", job_schema}, {"name", job.name}, {"workload", job.workload}};
  Value::Object proof{{"level", job.proof.level}};
  if (job.is_command()) {
    members.emplace_back("command", command_value(job.command));
    members.emplace_back("resources", Value::Object{{"gpus", job.resources.gpus}});
  } else {
    members.emplace_back("matmul", matmul_value(job.matmul));
    proof.emplace_back("catch", job.proof.catch_share);
    proof.emplace_back("error", job.proof.error);
  }
  members.emplace_back("limits", limits_value(job));
  members.emplace_back("proof", std::move(proof));
  return members;
}

}  // namespace volt::schema
