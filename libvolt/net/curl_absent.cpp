// SPDX-License-Identifier: Apache-2.0
// Compiled in the place of curl.cpp where the build found no headers of libcurl.
#include "libvolt/net/http.hpp"
#include "libvolt/net/url.hpp"

namespace volt::net {
namespace {

class Absent final : public Http {
 public:
  Response get(const Request& request, const std::function<void(ByteView)>&, Sink&,
               std::stop_token) override {
    check_url(request.url);
    throw Refused("cannot fetch " + shown(request.url) + ": this volt was built without libcurl",
                  "download it by other means and name the file, or build volt with the headers "
                  "of libcurl (Debian: libcurl4-openssl-dev)");
  }
};

}  // namespace

std::unique_ptr<Http> curl_http() { return std::make_unique<Absent>(); }

}  // namespace volt::net
