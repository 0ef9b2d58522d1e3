// SPDX-License-Identifier: Apache-2.0
#include "libvolt/net/url.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "libvolt/base/text.hpp"

namespace volt::net {
namespace {

bool has_scheme(std::string_view url, std::string_view scheme) {
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; };
  return url.size() >= scheme.size() && std::equal(scheme.begin(), scheme.end(), url.begin(),
                                                   [&](char b, char a) { return same(a, b); });
}

/// Where the host part of `url` begins and ends, user and password included. A backslash ends it
/// too: some parsers take it for a slash, and two that differ are how hosts get confused.
std::pair<std::size_t, std::size_t> authority(std::string_view url) {
  const auto separator = url.find("://");
  const std::size_t begin = separator == std::string_view::npos ? 0 : separator + 3;
  return {begin, std::min(url.find_first_of("/?#\\", begin), url.size())};
}

}  // namespace

bool is_https(std::string_view url) { return has_scheme(url, "https://"); }

void check_url(std::string_view url) {
  const auto [begin, end] = authority(url);
  if (url.substr(begin, end - begin).find('@') != std::string_view::npos)
    throw Error(Exit::usage, "URL " + shown(url) + " names a user or a password",
                "take out what stands before the \"@\": it would end up in logs and receipts");
  if (!is_https(url) && !has_scheme(url, "http://"))
    throw Error(Exit::usage, "URL " + shown(url) + " is neither http nor https");
  const auto odd = [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == '\x7f'; };
  if (begin == end || std::any_of(url.begin(), url.end(), odd) ||
      url.find('\\') != std::string_view::npos)
    throw Error(Exit::usage, "URL " + shown(url) + " is malformed",
                "a URL has a host, and no spaces, control characters or backslashes");
}

std::string shown(std::string_view url) {
  const auto [begin, end] = authority(url);
  const auto tail = std::min(url.find_first_of("?#", end), url.size());
  const auto at = url.substr(0, end).rfind('@');
  const bool user = at != std::string_view::npos && at >= begin;
  return printable(std::string(url.substr(0, begin)) +
                   std::string(url.substr(user ? at + 1 : begin, tail - (user ? at + 1 : begin))));
}

}  // namespace volt::net
