// SPDX-License-Identifier: Apache-2.0
#include "libvolt/cli/report.hpp"

#include <algorithm>
#include <array>

#include "libvolt/base/text.hpp"

namespace volt::cli {
namespace {

// Messages are our own text; what others wrote in them was cut where it was put in.
constexpr std::size_t line_limit = 4000;

std::string paint(std::string_view word, std::string_view code, bool colour) {
  if (!colour) return std::string(word);
  return "\x1b[" + std::string(code) + "m" + std::string(word) + "\x1b[0m";
}

std::string escape_data(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    if (c == '%') {
      safe += "%25";
    } else if (c == '\r') {
      safe += "%0D";
    } else if (c == '\n') {
      safe += "%0A";
    } else {
      safe += c;
    }
  }
  return safe;
}

std::string escape_property(std::string_view text) {
  std::string safe;
  for (const char c : escape_data(text)) {
    if (c == ':') {
      safe += "%3A";
    } else if (c == ',') {
      safe += "%2C";
    } else {
      safe += c;
    }
  }
  return safe;
}

}  // namespace

std::string error_text(std::string_view tool, const Error& error, bool colour) {
  std::string text = std::string(tool) + ": " + paint("error:", "1;31", colour) + " " +
                     printable(error.text(), line_limit) + "\n";
  if (!error.hint().empty()) {
    text += paint("hint:", "1;36", colour) + " " + printable(error.hint(), line_limit) + "\n";
  }
  return text;
}

doc::Value error_document(const Error& error, int status) {
  doc::Value::Array notes;
  for (const auto& note : error.notes()) notes.emplace_back(note);
  return doc::Value::Object{
      {"schema", "volt.error/1"},
      {"exit", status},
      {"class", exit_class(error.code()).word},
      {"message", error.message()},
      {"hint", error.hint()},
      {"cause", error.cause()},
      {"while", std::move(notes)},
  };
}

std::string github_error(std::string_view tool, const Error& error) {
  auto text = error.text();
  if (!error.hint().empty()) text += "\nhint: " + error.hint();
  return "::error title=" + escape_property(tool) + "::" + escape_data(text) + "\n";
}

}  // namespace volt::cli
