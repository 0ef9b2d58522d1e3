// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "libvolt/base/error.hpp"
#include "libvolt/base/quantities.hpp"
#include "libvolt/net/http.hpp"
#include "libvolt/net/url.hpp"

namespace volt::net {
namespace {

using std::chrono::milliseconds;

constexpr int tries = 5;
constexpr milliseconds first_wait{1000};
constexpr std::chrono::seconds longest_retry_after{60};

bool passing(int status) {
  return status == 408 || status == 425 || status == 429 || (status >= 500 && status <= 599);
}

Error answered(int status, const std::string& url) {
  std::string message = url + " answered with status " + std::to_string(status);
  switch (status) {
    case 404:
    case 410:
      return {Exit::not_found, std::move(message), "check the URL"};
    case 401:
    case 403:
      return {Exit::authentication, std::move(message),
              "volt sends no credentials: the URL must be open to everyone"};
    case 429:
      return {Exit::throttled, std::move(message), "try again later"};
    default:
      return {Exit::network, std::move(message)};
  }
}

/// Anywhere from nothing to a bound that doubles (full jitter), so that many clients that failed
/// together do not come back together.
milliseconds random_wait(int failed) {
  std::random_device device;
  const auto bound = first_wait.count() << (failed - 1);
  return milliseconds(std::uniform_int_distribution<milliseconds::rep>(0, bound)(device));
}

void sleep(milliseconds duration, const std::stop_token& stop) {
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable_any never;
  never.wait_for(lock, stop, duration, [] { return false; });
}

}  // namespace

void download(Http& http, const Request& request, const std::function<void(ByteView)>& body,
              const std::function<void()>& restart, Sink& sink, std::stop_token stop,
              const Wait& wait) {
  check_url(request.url);
  const std::string url = shown(request.url);
  for (int failed = 0;;) {
    if (stop.stop_requested()) throw Error(Exit::interrupted, "stopped while fetching " + url);
    std::optional<Error> error;
    std::chrono::seconds retry_after{0};
    try {
      const Response response = http.get(request, body, sink, stop);
      if (response.status >= 200 && response.status <= 299) return;
      error = answered(response.status, url);
      if (!passing(response.status)) throw *error;
      retry_after = response.retry_after;
    } catch (const Refused&) {
      throw;
    } catch (const Error& thrown) {
      if (thrown.code() != Exit::network || error) throw;
      error = thrown;
    }
    if (++failed == tries) {
      error->note("trying for the last of " + std::to_string(tries) + " times");
      throw *error;
    }
    const milliseconds pause = retry_after.count() > 0
                                   ? std::min<milliseconds>(retry_after, longest_retry_after)
                                   : random_wait(failed);
    sink.send(Log{Log::Level::info, error->text() + "; trying again in " + format_duration(pause)});
    if (wait)
      wait(pause);
    else
      sleep(pause, stop);
    if (stop.stop_requested()) throw Error(Exit::interrupted, "stopped while fetching " + url);
    restart();
  }
}

}  // namespace volt::net
