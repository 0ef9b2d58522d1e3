// SPDX-License-Identifier: Apache-2.0
#include "libvolt/net/certificates.hpp"

#include "libvolt/host/places.hpp"

namespace volt::net {
namespace {

// As in Go's crypto/x509/root_linux.go; all but the links of hashed folders.
constexpr const char* files[]{
    "etc/ssl/certs/ca-certificates.crt",                 // Debian, Ubuntu, Arch, Gentoo, Alpine
    "etc/pki/tls/certs/ca-bundle.crt",                   // Fedora, Red Hat up to 9
    "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  // Red Hat 10, CentOS
    "etc/ssl/ca-bundle.pem",                             // SUSE
    "etc/ssl/cert.pem",                                  // Alpine without its package
};
constexpr const char* folders[]{"etc/ssl/certs", "etc/pki/tls/certs"};

}  // namespace

Certificates trusted_certificates(const host::Path& root) {
  const auto file = host::environment("SSL_CERT_FILE");
  const auto folder = host::environment("SSL_CERT_DIR");
  if (file || folder) return {file.value_or(""), folder.value_or("")};
  for (const auto* one : files) {
    if (host::exists(root / one)) return {root / one, {}};
  }
  for (const auto* one : folders) {
    if (host::is_folder(root / one)) return {{}, root / one};
  }
  return {};
}

}  // namespace volt::net
