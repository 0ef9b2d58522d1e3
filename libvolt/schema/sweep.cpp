// SPDX-License-Identifier: Apache-2.0
#include "libvolt/schema/sweep.hpp"

#include <algorithm>
#include <array>

#include "libvolt/base/text.hpp"
#include "libvolt/doc/read.hpp"

namespace volt::schema {
namespace {

using doc::Fields;
using doc::Value;

/// As deep as documents may be.
constexpr std::size_t max_parts = 32;
constexpr std::size_t max_name_bytes = 63;
constexpr std::array<std::string_view, 3> fixed{"schema", "name", "sweep"};
constexpr const char* quotes_hint = "write the whole path in quotes: \"limits.time\"";

/// The parts of a path such as `command.argv.3`; one in quotes may have dots itself, as in
/// `command.inputs."train.csv"`. Empty: it is no path.
std::vector<std::string> parts_of(std::string_view key) {
  std::vector<std::string> parts;
  for (;;) {
    const bool quoted = key.starts_with('"');
    const auto close = quoted ? key.find('"', 1) : key.find('.');
    if (quoted && close == std::string_view::npos) return {};
    parts.emplace_back(quoted ? key.substr(1, close - 1) : key.substr(0, close));
    key.remove_prefix(std::min(key.size(), quoted ? close + 1 : close));
    if (parts.back().empty() || parts.size() > max_parts) return {};
    if (key.empty()) return parts;
    if (key.front() != '.') return {};
    key.remove_prefix(1);
  }
}

/// Refuses a key that can lead nowhere whatever the job is.
void check_key(const Fields& fields, const std::string& key, const Value& value) {
  const auto parts = parts_of(key);
  if (parts.empty()) {
    fields.fail(key, value, "is no path into the job", "such as \"command.env.LR\"");
  }
  if (std::ranges::find(fixed, parts.front()) != fixed.end()) {
    fields.fail(key, value, "is the same for all points of a sweep");
  }
}

/// Without quotes TOML makes tables of a dotted key, and the job's whole table would be replaced.
void check_value(const Fields& fields, const std::string& key, const Value& value) {
  if (value.get_if<Value::Object>() != nullptr && parts_of(key).size() == 1) {
    fields.fail(key, value, "is a whole table of the job", quotes_hint);
  }
}

/// What two keys set would depend on their order.
void check_apart(const Fields& fields, const Value::Object& settings) {
  for (const auto& [key, value] : settings) {
    for (const auto& other : settings) {
      if (key.starts_with(other.first + ".")) {
        fields.fail(key, value, "lies in " + printable(other.first) + ", which is set as well");
      }
    }
  }
}

/// Sets what `key` leads to, and makes it, with the tables on the way, if it is not there.
void set(Value& job, const std::string& key, const Value& value, const Fields& fields) {
  Value* at = &job;
  std::string way;
  for (const auto& part : parts_of(key)) {
    if (auto* list = at->get_if<Value::Array>()) {
      const auto index = parse_unsigned(part);
      if (!index || *index >= list->size()) {
        fields.fail(key, value,
                    "leads to \"" + printable(part) + "\" of " + printable(way) + ", a list of " +
                        std::to_string(list->size()),
                    "its elements are numbered from 0");
      }
      at = &(*list)[*index];
    } else if (auto* table = at->get_if<Value::Object>()) {
      auto* member = at->find(part);
      if (member == nullptr) {
        member = &table->emplace_back(part, Value::Object{}).second;
        member->mark = value.mark;
      }
      at = member;
    } else {
      fields.fail(key, value,
                  "leads into " + printable(way) + ", which is " + std::string(at->kind()) +
                      ", not a table");
    }
    way += (way.empty() ? "" : ".") + part;
  }
  *at = value;
}

std::string text_of(const Value& value) {
  const auto* text = value.get_if<std::string>();
  return text != nullptr ? *text : doc::to_canonical_json(value);
}

bool is_value(const Value& value, std::string_view text) {
  if (text_of(value) == text) return true;
  const auto* number = value.get_if<double>();
  return number != nullptr && parse_number(text) == *number;
}

/// Which of `size` points "0,3-5" names; nullopt when it is no such list.
std::optional<std::vector<bool>> listed(std::string_view list, std::size_t size) {
  // As labels have them: "007".
  const auto index = [](std::string_view digits) {
    const auto zeros = std::min(digits.find_first_not_of('0'), digits.size());
    if (zeros != 0 && zeros == digits.size()) return std::optional<std::uint64_t>(0);
    return parse_unsigned(digits.substr(zeros));
  };
  std::vector<bool> named(size);
  for (const auto range : split(list, ',')) {
    const auto dash = range.find('-');
    const auto first = index(range.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : index(range.substr(dash + 1));
    if (!first || !last || *first > *last) return std::nullopt;
    if (*last >= size) {
      throw Error(Exit::not_found, "--only names point " + std::to_string(*last) +
                                       ", and the sweep has " + std::to_string(size) +
                                       ", numbered from 0");
    }
    for (auto i = *first; i <= *last; ++i) named[i] = true;
  }
  return named;
}

}  // namespace

std::optional<Sweep> Sweep::take(Value& job, const doc::Source& source, std::string_view stem) {
  const Value* found = job.find("sweep");
  if (found == nullptr) return std::nullopt;
  const Value table = *found;
  std::erase_if(*job.get_if<Value::Object>(), [](const auto& one) { return one.first == "sweep"; });
  Sweep sweep(job, source, stem);
  Fields fields(table, sweep.source_, "sweep");
  const bool product = fields.has("product"), list = fields.has("list");
  fields.refuse_others();
  if (product == list) fields.fail({}, table, "needs a product or a list, and not both");
  product ? sweep.take_product(fields) : sweep.take_list(fields);
  return sweep;
}

void Sweep::take_product(Fields& sweep) {
  path_ = "sweep.product";
  points_ = sweep.get("product");
  const Fields fields = sweep.table("product");
  const auto& keys = *points_.get_if<Value::Object>();
  if (keys.empty()) sweep.fail("product", points_, "is empty");
  for (const auto& [key, values] : keys) {
    check_key(fields, key, values);
    const auto* list = values.get_if<Value::Array>();
    if (list == nullptr) {
      const bool table = values.get_if<Value::Object>() != nullptr;
      fields.fail(key, values, "is " + std::string(values.kind()) + ", not a list of values",
                  table ? quotes_hint : "");
    }
    if (list->empty()) fields.fail(key, values, "has no values");
    for (const auto& value : *list) check_value(fields, key, value);
    size_ *= list->size();
    if (size_ > max_points) sweep.fail("product", points_, "makes more than 10000 points");
  }
  check_apart(fields, keys);
}

void Sweep::take_list(Fields& sweep) {
  path_ = "sweep.list";
  points_ = sweep.get("list");
  const auto& list = sweep.array("list");
  size_ = list.size();
  if (list.empty()) sweep.fail("list", points_, "is empty");
  if (size_ > max_points) sweep.fail("list", points_, "has more than 10000 points");
  for (const auto& settings : list) {
    const Fields fields(settings, source_, path_);
    for (const auto& [key, value] : *settings.get_if<Value::Object>()) {
      check_key(fields, key, value);
      check_value(fields, key, value);
    }
    check_apart(fields, *settings.get_if<Value::Object>());
  }
}

Value::Object Sweep::settings(std::size_t point) const {
  if (const auto* list = points_.get_if<Value::Array>()) {
    return *(*list)[point].get_if<Value::Object>();
  }
  const auto& keys = *points_.get_if<Value::Object>();
  Value::Object chosen = keys;
  for (auto i = keys.size(); i-- > 0;) {
    const auto& values = *keys[i].second.get_if<Value::Array>();
    chosen[i] = {keys[i].first, values[point % values.size()]};
    point /= values.size();
  }
  return chosen;
}

std::string Sweep::label(std::size_t point) const {
  const auto width = std::max<std::size_t>(3, std::to_string(size_ - 1).size());
  const auto digits = std::to_string(point);
  return std::string(width - digits.size(), '0') + digits;
}

std::string Sweep::title(std::size_t point) const {
  std::string text = label(point);
  for (const auto& [key, value] : settings(point)) text += " " + key + "=" + text_of(value);
  return printable(text);
}

Value Sweep::applied(std::size_t point) const {
  Value job = job_;
  const Value table(settings(point));
  const Fields fields(table, source_, path_);
  for (const auto& [key, value] : *table.get_if<Value::Object>()) set(job, key, value, fields);
  return job;
}

Job Sweep::job(std::size_t point) const {
  return during("checking point " + title(point), [&] {
    Job job = parse_job(applied(point), source_, stem_);
    job.name += "-" + label(point);
    if (job.name.size() > max_name_bytes) {
      throw Error(source_.code, "the name " + job.name + " of a point is longer than 63 characters",
                  "give the job a shorter name");
    }
    return job;
  });
}

std::vector<bool> Sweep::with(std::string_view key, std::string_view text) const {
  std::vector<bool> points(size_);
  bool known = false;
  for (std::size_t i = 0; i < size_; ++i) {
    for (const auto& [name, value] : settings(i)) {
      if (name != key) continue;
      known = true;
      points[i] = is_value(value, text);
    }
  }
  if (!known) throw Error(Exit::usage, "--only: the sweep does not set " + printable(key));
  return points;
}

std::vector<std::size_t> Sweep::choose(const std::vector<std::string>& only) const {
  std::vector<bool> chosen(size_, true);
  for (const auto& text : only) {
    const auto equals = text.find('=');
    const auto named = equals == std::string::npos
                           ? listed(text, size_)
                           : with(text.substr(0, equals), text.substr(equals + 1));
    if (!named) {
      throw Error(Exit::usage, "--only is \"" + printable(text) + "\", which chooses no points",
                  "for example --only 0,3-5 or --only command.env.LR=0.1");
    }
    for (std::size_t i = 0; i < size_; ++i) chosen[i] = chosen[i] && (*named)[i];
  }
  std::vector<std::size_t> points;
  for (std::size_t i = 0; i < size_; ++i) {
    if (chosen[i]) points.push_back(i);
  }
  if (points.empty()) throw Error(Exit::not_found, "no point of the sweep is what --only wants");
  return points;
}

}  // namespace volt::schema
