// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "libvolt/base/error.hpp"

namespace volt::net {

/// A network error that another try would only meet again: too long a body, a redirect that is not
/// followed, a certificate that does not hold.
class Refused final : public Error {
 public:
  explicit Refused(std::string message, std::string hint = {}, std::string cause = {})
      : Error(Exit::network, std::move(message), std::move(hint), std::move(cause)) {}
};

/// Throws Error (usage) unless `url` is http or https, has a host, and names no user or password.
void check_url(std::string_view url);

bool is_https(std::string_view url);

/// `url` for messages and logs: without user, password, query and fragment, any of which may be a
/// secret.
std::string shown(std::string_view url);

}  // namespace volt::net
