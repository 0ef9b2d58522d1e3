// SPDX-License-Identifier: Apache-2.0
#include "libvolt/schema/job_tables.hpp"

namespace volt::schema {
namespace {

using doc::Fields;
using doc::Source;
using doc::Value;

/// Larger extents could not be multiplied within a human life, and products of two fit 64 bits.
constexpr std::int64_t max_extent = std::int64_t{1} << 31;

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

}  // namespace

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
    if (const auto why = why_no_output(run.file); !why.empty()) {
      fields.fail("file", fields.get("file"), why);
    }
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

}  // namespace volt::schema
