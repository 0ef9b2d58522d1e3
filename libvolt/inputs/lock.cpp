// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "libvolt/base/error.hpp"
#include "libvolt/inputs/inputs.hpp"

namespace volt::inputs {
namespace {

std::string toml_string(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      result += "\\u00" + to_hex({&byte, 1});
      continue;
    }
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + "\"";
}

std::string locked_value(const schema::Input& input, const Digest& digest) {
  std::string text = "{ ";
  if (const auto* file = std::get_if<schema::File>(&input.from); file && !file->path.empty()) {
    text += "path = " + toml_string(file->path) + ", ";
  } else if (const auto* url = std::get_if<schema::Url>(&input.from)) {
    text += "url = " + toml_string(url->url) + ", ";
  } else if (const auto* run = std::get_if<schema::RunOutput>(&input.from)) {
    text += "run = " + toml_string(run->folder) + ", file = " + toml_string(run->file) + ", ";
  }
  text += "sha256 = " + toml_string(digest.hex());
  if (!input.tensor.empty()) text += ", tensor = " + toml_string(input.tensor);
  return text + " }";
}

/// Byte offset of a mark; columns count characters as toml++ does, bytes beyond ASCII included.
std::size_t offset_of(std::string_view text, doc::Mark mark) {
  std::size_t offset = 0;
  for (std::uint32_t line = 1; line < mark.line; ++line) offset = text.find('\n', offset) + 1;
  for (std::uint32_t column = 1; column < mark.column; ++column) {
    ++offset;
    while (offset < text.size() && (static_cast<unsigned char>(text[offset]) & 0xc0) == 0x80) {
      ++offset;
    }
  }
  return offset;
}

}  // namespace

std::string lock(std::string_view toml, const schema::Job& job, const std::vector<Found>& found) {
  std::string text(toml);
  auto named = job.inputs();
  // From the end of the file on, so that earlier marks stay true.
  std::sort(named.begin(), named.end(), [](const auto& x, const auto& y) {
    return std::pair(x.second->mark.line, x.second->mark.column) >
           std::pair(y.second->mark.line, y.second->mark.column);
  });
  for (const auto& [name, input] : named) {
    if (input->seeded() != nullptr) continue;
    const auto value = locked_value(*input, pin_of(name, found));
    if (input->mark.line == 0) {
      throw Error(Exit::usage,
                  "input " + std::string(name) + " is not in the job, so there is no place to lock",
                  "add: " + std::string(name) + " = " + value);
    }
    const auto begin = offset_of(toml, input->mark), end = offset_of(toml, input->end);
    // A header or a dotted key stands there: the input's members lie strewn over several lines.
    if (begin >= toml.size() ||
        std::string_view("\"'{").find(toml[begin]) == std::string_view::npos) {
      throw Error(
          Exit::usage,
          "input " + std::string(name) + " is not written in one piece, so it cannot be locked",
          "write: " + std::string(name) + " = " + value);
    }
    text.replace(begin, end - begin, value);
  }
  return text;
}

}  // namespace volt::inputs
