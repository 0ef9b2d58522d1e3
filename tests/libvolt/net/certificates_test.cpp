// SPDX-License-Identifier: Apache-2.0
#include "libvolt/net/certificates.hpp"

#include <doctest/doctest.h>

#include <cstdlib>

using namespace volt;

TEST_CASE("certificates are where the distribution keeps them, or where the person says") {
  ::unsetenv("SSL_CERT_FILE");
  ::unsetenv("SSL_CERT_DIR");
  const host::TemporaryFolder root("/tmp");
  const auto found = [&] { return net::trusted_certificates(root.path()); };
  CHECK(found().file.empty());
  CHECK(found().folder.empty());

  SUBCASE("a folder will do where there is no file") {
    host::make_folder(root.path() / "etc/ssl/certs");
    CHECK(found().folder == root.path() / "etc/ssl/certs");
    CHECK(found().file.empty());
  }
  SUBCASE("one file is enough") {
    for (const char* file : {"etc/ssl/cert.pem", "etc/pki/tls/certs/ca-bundle.crt",
                             "etc/ssl/certs/ca-certificates.crt"}) {
      CAPTURE(file);
      host::make_folder((root.path() / file).parent_path());
      host::write_file(root.path() / file, "", 0644);
      CHECK(found().file == root.path() / file);
      CHECK(found().folder.empty());
    }
  }
  SUBCASE("a variable replaces all that the system trusts") {
    host::make_folder(root.path() / "etc/ssl/certs");
    ::setenv("SSL_CERT_FILE", "/mine.pem", 1);
    CHECK(found().file == "/mine.pem");
    CHECK(found().folder.empty());
    ::unsetenv("SSL_CERT_FILE");
    ::setenv("SSL_CERT_DIR", "/mine", 1);
    CHECK(found().file.empty());
    CHECK(found().folder == "/mine");
    ::unsetenv("SSL_CERT_DIR");
  }
}
