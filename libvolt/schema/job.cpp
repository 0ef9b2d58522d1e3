// SPDX-License-Identifier: Apache-2.0
#include "libvolt/schema/job.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "libvolt/base/quantities.hpp"
#include "libvolt/base/text.hpp"

namespace volt::schema {
namespace {

using doc::Fields;
using doc::Source;
using doc::Value;

constexpr std::array<std::string_view, 3> profiles{"f32x", "i8x", "i8"};
constexpr std::array<std::string_view, 4> levels{"L0", "L2", "L4", "all"};
constexpr std::array<std::string_view, 1> workloads{"matmul"};
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

Limits parse_limits(Fields fields) {
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
  const auto segments = split(path, '/');
  const auto plain = [&](std::string_view name) {
    return !name.empty() && name.size() <= 255 &&
           (segments.size() == 1 || (name != "." && name != ".."));
  };
  if (path.size() > 1024 || printable(path, 1024) != path ||
      !std::all_of(segments.begin(), segments.end(), plain)) {
    return no_plain_name;
  }
  const auto first = segments.front();
  const bool is_ours =
      first.front() == '.' || std::find(ours.begin(), ours.end(), first) != ours.end();
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

ProofPolicy ProofPolicy::at_least_default() const {
  const ProofPolicy usual;
  ProofPolicy stricter = *this;
  if (level == "L0") stricter.level = usual.level;
  stricter.catch_share = std::min(catch_share, usual.catch_share);
  stricter.error = std::min(error, usual.error);
  return stricter;
}

std::vector<std::pair<std::string_view, const Input*>> Job::inputs() const {
  return {{"a", &matmul.a}, {"b", &matmul.b}};
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
  job.matmul = parse_matmul(fields.table("matmul"), source);
  if (fields.has("limits")) job.limits = parse_limits(fields.table("limits"));
  if (fields.has("proof")) job.proof = parse_proof(fields.table("proof"), job.matmul);
  fields.refuse_others();
  return job;
}

Value to_value(const Job& job) {
  const auto& m = job.matmul;
  Value::Object matmul{
      {"a", input_value(m.a)},        {"b", input_value(m.b)}, {"transpose_a", m.transpose_a},
      {"transpose_b", m.transpose_b}, {"out", m.out},          {"profile", m.profile}};
  if (!m.image.empty()) matmul.emplace_back("image", m.image);
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
  return Value::Object{{"schema", job_schema},
                       {"name", job.name},
                       {"workload", job.workload},
                       {"matmul", std::move(matmul)},
                       {"limits", std::move(limits)},
                       {"proof", Value::Object{{"level", job.proof.level},
                                               {"catch", job.proof.catch_share},
                                               {"error", job.proof.error}}}};
}

}  // namespace volt::schema
