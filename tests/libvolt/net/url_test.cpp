// SPDX-License-Identifier: Apache-2.0
#include "libvolt/net/url.hpp"

#include <doctest/doctest.h>

namespace volt::net {
namespace {

std::string refusal(std::string_view url) {
  try {
    check_url(url);
  } catch (const Error& error) {
    CHECK(error.code() == Exit::usage);
    return error.message();
  }
  return "none";
}

TEST_CASE("http and https with a host are accepted") {
  for (const std::string_view url :
       {"http://h", "https://h:8443/a@b?c=@d#@e", "HTTPS://H/x", "http://[::1]:80/"}) {
    CAPTURE(url);
    CHECK(refusal(url) == "none");
  }
  CHECK(is_https("HTTPS://h"));
  CHECK(!is_https("http://h"));
  CHECK(!is_https("https:/h"));
}

TEST_CASE("a user or a password is refused and not repeated") {
  for (const std::string_view url : {"https://me:secret@h/x", "https://secret@h/x",
                                     "ftp://me:secret@h/x", "https://me:s@cret@h/x"}) {
    CAPTURE(url);
    CHECK(refusal(url).ends_with("://h/x names a user or a password"));
  }
  CHECK(refusal("me:secret@h/x") == "URL h/x names a user or a password");
}

TEST_CASE("other schemes and malformed URLs are refused") {
  CHECK(refusal("file:///etc/passwd") == "URL file:///etc/passwd is neither http nor https");
  CHECK(refusal("h/x") == "URL h/x is neither http nor https");
  CHECK(refusal("") == "URL  is neither http nor https");
  CHECK(refusal("http://") == "URL http:// is malformed");
  CHECK(refusal("http:///x") == "URL http:///x is malformed");
  CHECK(refusal("http://h/a b") == "URL http://h/a b is malformed");
  CHECK(refusal("http://h/\r\nX: y") == "URL http://h/\\x0d\\x0aX: y is malformed");
  CHECK(refusal("http://h\\x") == "URL http://h\\x is malformed");
}

TEST_CASE("a URL is shown without what may be secret") {
  CHECK(shown("https://h/a/b.npy?sig=secret#secret") == "https://h/a/b.npy");
  CHECK(shown("https://me:secret@h/a@b") == "https://h/a@b");
  CHECK(shown("https://h?secret") == "https://h");
}

}  // namespace
}  // namespace volt::net
