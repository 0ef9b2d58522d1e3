// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "libvolt/base/event.hpp"
#include "libvolt/base/hex.hpp"

namespace volt::net {

struct Request {
  std::string url;              ///< http or https, nothing else, before and after redirects
  std::uint64_t max_bytes = 0;  ///< of the body; more is an Error (network)
  std::chrono::seconds connect_timeout{20};
  std::chrono::seconds stall_timeout{30};  ///< less than 1 B/s for so long
};

struct Response {
  int status = 0;
  std::chrono::seconds retry_after{0};  ///< 0: not said
};

/// One HTTP exchange. Body bytes go to `body` as they come, only of a 2xx answer.
class Http {
 public:
  virtual ~Http() = default;
  /// Throws Error: network (name, connection, TLS, stall, too long), interrupted (stop).
  virtual Response get(const Request& request, const std::function<void(ByteView)>& body,
                       Sink& sink, std::stop_token stop) = 0;
};

/// By libcurl, which is loaded on the first call; Error (network) with a hint when it is missing.
/// At most 5 redirects, proxies as in the environment, certificates always checked.
std::unique_ptr<Http> curl_http();

/// Waits between tries, so that tests need not.
using Wait = std::function<void(std::chrono::milliseconds)>;

/// Downloads with up to 5 tries: network errors, 408, 425, 429 and 5xx are tried again after a
/// random wait that doubles (full jitter), Retry-After honoured up to 60 s. `restart` is called
/// before each further try, to drop what came of the last. Throws Error: not_found (404, 410),
/// authentication (401, 403), throttled (429 to the end), network.
void download(Http& http, const Request& request, const std::function<void(ByteView)>& body,
              const std::function<void()>& restart, Sink& sink, std::stop_token stop,
              const Wait& wait = {});

}  // namespace volt::net
