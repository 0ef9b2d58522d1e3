// SPDX-License-Identifier: Apache-2.0
#include <curl/curl.h>
#include <dlfcn.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>

#include "libvolt/base/text.hpp"
#include "libvolt/net/certificates.hpp"
#include "libvolt/net/http.hpp"
#include "libvolt/net/url.hpp"

namespace volt::net {
namespace {

/// The few functions of libcurl, by name at run time: most runs of volt never touch the network,
/// and a machine without libcurl can still do everything else.
struct Library {
  decltype(&::curl_global_init) global_init;
  decltype(&::curl_easy_init) easy_init;
  decltype(&::curl_easy_cleanup) easy_cleanup;
  decltype(&::curl_easy_setopt) easy_setopt;
  decltype(&::curl_easy_getinfo) easy_getinfo;
  decltype(&::curl_easy_perform) easy_perform;
  decltype(&::curl_easy_strerror) easy_strerror;
};

constexpr const char* install_hint = "install libcurl (Debian: libcurl4)";

template <class F>
void load(void* handle, const char* name, F& function) {
  void* symbol = dlsym(handle, name);
  if (symbol == nullptr) throw Refused(std::string("libcurl.so.4 has no ") + name, install_hint);
  function = reinterpret_cast<F>(symbol);
}

Library load_library() {
  // Never closed: libcurl and OpenSSL leave handlers behind that run at exit.
  void* handle = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* why = dlerror();
    throw Refused("cannot load libcurl", install_hint, why == nullptr ? "" : why);
  }
  Library library{};
  load(handle, "curl_global_init", library.global_init);
  load(handle, "curl_easy_init", library.easy_init);
  load(handle, "curl_easy_cleanup", library.easy_cleanup);
  load(handle, "curl_easy_setopt", library.easy_setopt);
  load(handle, "curl_easy_getinfo", library.easy_getinfo);
  load(handle, "curl_easy_perform", library.easy_perform);
  load(handle, "curl_easy_strerror", library.easy_strerror);
  if (library.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
    throw Refused("cannot start libcurl", install_hint);
  return library;
}

const Library& library() {
  static const Library loaded = load_library();  // if it throws, the next call tries again
  return loaded;
}

/// What the callbacks of one exchange know. They run inside C, so nothing may leave them: an
/// exception is kept in `thrown` and the transfer is broken off.
struct Exchange {
  Exchange(const Request& request_given, const std::function<void(ByteView)>& body_given,
           Sink& sink_given, std::stop_token stop_given, CURL* handle_given)
      : request(request_given),
        body(body_given),
        sink(sink_given),
        stop(std::move(stop_given)),
        handle(handle_given) {}

  const Request& request;
  const std::function<void(ByteView)>& body;
  Sink& sink;
  std::stop_token stop;
  CURL* handle;
  std::string what;  // of Progress

  std::uint64_t received = 0;
  std::chrono::steady_clock::time_point said{};
  std::exception_ptr thrown;
  bool too_long = false;
  bool other_answer = false;  // a body came that belongs to no 2xx answer

  void progress(std::uint64_t total) { sink.send(Progress{what, received, total, "bytes"}); }
};

std::size_t on_body(char* data, std::size_t one, std::size_t count, void* user) noexcept {
  auto& exchange = *static_cast<Exchange*>(user);
  const std::size_t size = one * count;
  const std::size_t broken_off = size == 0 ? 1 : 0;  // anything that is not `size`
  long status = 0;
  library().easy_getinfo(exchange.handle, CURLINFO_RESPONSE_CODE, &status);
  if (status < 200 || status > 299) {
    exchange.other_answer = true;  // its status is all that is wanted, and its body may be endless
    return broken_off;
  }
  if (exchange.stop.stop_requested()) return broken_off;
  if (size > exchange.request.max_bytes - exchange.received) {
    exchange.too_long = true;
    return broken_off;
  }
  exchange.received += size;
  try {
    exchange.body({reinterpret_cast<const std::uint8_t*>(data), size});
  } catch (...) {
    exchange.thrown = std::current_exception();
    return broken_off;
  }
  return size;
}

int on_progress(void* user, curl_off_t total, curl_off_t, curl_off_t, curl_off_t) noexcept {
  auto& exchange = *static_cast<Exchange*>(user);
  if (exchange.stop.stop_requested()) return 1;
  const auto now = std::chrono::steady_clock::now();
  if (exchange.received == 0 || now - exchange.said < std::chrono::milliseconds(100)) return 0;
  exchange.said = now;
  try {
    exchange.progress(total < 0 ? 0 : static_cast<std::uint64_t>(total));
  } catch (...) {
    exchange.thrown = std::current_exception();
    return 1;
  }
  return 0;
}

template <class T>
void set(CURL* handle, CURLoption option, T value) {
  const CURLcode code = library().easy_setopt(handle, option, value);
  if (code != CURLE_OK)
    throw Refused("libcurl does not know option " + std::to_string(option),
                  "libcurl 7.85 or later is needed", library().easy_strerror(code));
}

void trust(CURL* handle, const Certificates& certificates) {
  const auto& [file, folder] = certificates;
  if (file.empty() && folder.empty()) return;  // libcurl may know better
  // Where one is not given libcurl would keep what it was built with.
  set(handle, CURLOPT_CAINFO, file.empty() ? nullptr : file.c_str());
  set(handle, CURLOPT_CAPATH, folder.empty() ? nullptr : folder.c_str());
}

void configure(Exchange& exchange, char* words) {
  CURL* handle = exchange.handle;
  const Request& request = exchange.request;
  const bool https = is_https(request.url);
  set(handle, CURLOPT_URL, request.url.c_str());
  set(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  set(handle, CURLOPT_REDIR_PROTOCOLS_STR, https ? "https" : "http,https");
  set(handle, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);  // of redirects too
  set(handle, CURLOPT_FOLLOWLOCATION, 1L);
  set(handle, CURLOPT_MAXREDIRS, 5L);
  set(handle, CURLOPT_SSL_VERIFYPEER, 1L);
  set(handle, CURLOPT_SSL_VERIFYHOST, 2L);
  trust(handle, trusted_certificates());
  set(handle, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  set(handle, CURLOPT_USERAGENT, "volt");
  set(handle, CURLOPT_NOSIGNAL, 1L);
  set(handle, CURLOPT_CONNECTTIMEOUT, static_cast<long>(request.connect_timeout.count()));
  set(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
  set(handle, CURLOPT_LOW_SPEED_TIME, static_cast<long>(request.stall_timeout.count()));
  set(handle, CURLOPT_ERRORBUFFER, words);
  set(handle, CURLOPT_WRITEFUNCTION, &on_body);
  set(handle, CURLOPT_WRITEDATA, static_cast<void*>(&exchange));
  set(handle, CURLOPT_XFERINFOFUNCTION, &on_progress);
  set(handle, CURLOPT_XFERINFODATA, static_cast<void*>(&exchange));
  set(handle, CURLOPT_NOPROGRESS, 0L);
}

[[noreturn]] void fail(CURLcode code, const std::string& url, const char* words) {
  const std::string message = "cannot fetch " + shown(url);
  const std::string cause = printable(*words != '\0' ? words : library().easy_strerror(code));
  switch (code) {
    case CURLE_UNSUPPORTED_PROTOCOL:
      throw Refused(message, "it redirects to what volt does not follow", cause);
    case CURLE_LOGIN_DENIED:  // a user in the URL of a redirect
    case CURLE_TOO_MANY_REDIRECTS:
    case CURLE_URL_MALFORMAT:
      throw Refused(message, "use the URL that it ends at", cause);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      throw Refused(message,
                    "check the clock, and the package ca-certificates or what SSL_CERT_FILE names",
                    cause);
    default:
      throw Error(Exit::network, message, {}, cause);
  }
}

class Curl final : public Http {
 public:
  Response get(const Request& request, const std::function<void(ByteView)>& body, Sink& sink,
               std::stop_token stop) override {
    check_url(request.url);
    const Library& curl = library();
    const std::unique_ptr<CURL, decltype(curl.easy_cleanup)> handle(curl.easy_init(),
                                                                    curl.easy_cleanup);
    if (!handle) throw Error(Exit::network, "cannot start libcurl");
    std::array<char, CURL_ERROR_SIZE> words{};
    const std::string name = shown(request.url);
    Exchange exchange(request, body, sink, std::move(stop), handle.get());
    exchange.what = "downloading " + name.substr(name.rfind('/') + 1);
    configure(exchange, words.data());
    const CURLcode code = curl.easy_perform(handle.get());

    if (exchange.thrown) std::rethrow_exception(exchange.thrown);
    if (exchange.stop.stop_requested() && code != CURLE_OK)
      throw Error(Exit::interrupted, "stopped while fetching " + name);
    if (exchange.too_long)
      throw Refused("cannot fetch " + name + ": it has more than " +
                        std::to_string(request.max_bytes) + " bytes",
                    "raise the size that the job allows for it");
    if (code != CURLE_OK && !exchange.other_answer) fail(code, request.url, words.data());

    long status = 0;
    curl_off_t retry_after = 0, total = 0;
    curl.easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &status);
    curl.easy_getinfo(handle.get(), CURLINFO_RETRY_AFTER, &retry_after);
    curl.easy_getinfo(handle.get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &total);
    if (exchange.received != 0) exchange.progress(total < 0 ? 0 : exchange.received);
    return {static_cast<int>(status), std::chrono::seconds(retry_after)};
  }
};

}  // namespace

std::unique_ptr<Http> curl_http() { return std::make_unique<Curl>(); }

}  // namespace volt::net
