// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "libvolt/host/files.hpp"

namespace volt::net {

/// Whose signature on a server's certificate is trusted, as PEM: a file of them, a folder with a
/// file for each under the hash of its name, or both. An empty path is none.
struct Certificates {
  host::Path file, folder;
};

/// What $SSL_CERT_FILE and $SSL_CERT_DIR name, as OpenSSL has it, and nothing else when either is
/// set; else where this distribution keeps them, below `root`. A library built elsewhere, such as a
/// release's, knows only the places of its own. Both empty when there are none.
Certificates trusted_certificates(const host::Path& root = "/");

}  // namespace volt::net
