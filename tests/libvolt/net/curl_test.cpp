// SPDX-License-Identifier: Apache-2.0
// curl_http against server.py, which answers on 127.0.0.1.
#include <doctest/doctest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <thread>

#include "libvolt/base/error.hpp"
#include "libvolt/net/http.hpp"

namespace volt::net {
namespace {

struct Keep final : Sink {
  std::vector<Progress> progress;
  void send(const Event& event) override {
    if (const auto* one = std::get_if<Progress>(&event)) progress.push_back(*one);
  }
};

/// server.py, from the first test that wants it to the end of its scope.
class Server {
 public:
  Server() {
    setenv("no_proxy", "127.0.0.1", 1);
    const auto script = std::filesystem::path(__FILE__).parent_path() / "server.py";
    pipe_ = popen(("exec python3 '" + script.string() + "'").c_str(), "r");
    int port = 0;
    REQUIRE(pipe_ != nullptr);
    REQUIRE(std::fscanf(pipe_, "%d", &port) == 1);
    root_ = "http://127.0.0.1:" + std::to_string(port);
  }
  ~Server() {
    try {
      get("/quit");
    } catch (const Error&) {
      // It ends by itself, later.
    }
    pclose(pipe_);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  Request request(const std::string& path) const {
    Request request;
    request.url = root_ + path;
    request.max_bytes = 1'000'000;
    request.stall_timeout = std::chrono::seconds(2);
    return request;
  }

  Response get(const std::string& path) { return get(request(path)); }
  Response get(const Request& request, std::stop_token stop = {}) {
    received.clear();
    sink.progress.clear();
    return http->get(
        request, [&](ByteView bytes) { received += as_text(bytes); }, sink, stop);
  }
  Error error_of(const Request& request, std::stop_token stop = {}) {
    try {
      get(request, stop);
    } catch (const Error& error) {
      return error;
    }
    return Error(Exit::ok, "none");
  }
  Error error_of(const std::string& path) { return error_of(request(path)); }
  std::string named(const std::string& path) const { return "cannot fetch " + root_ + path; }

  std::string received;
  Keep sink;
  std::unique_ptr<Http> http = curl_http();

 private:
  std::FILE* pipe_ = nullptr;
  std::string root_;
};

TEST_CASE("a body arrives whole, with progress at its end") {
  Server server;
  CHECK(server.get("/ok?token=secret").status == 200);
  CHECK(server.received.size() == 256000);
  CHECK(server.received[255] == '\xff');
  REQUIRE(!server.sink.progress.empty());
  const auto last = server.sink.progress.back();
  CHECK(last.what == "downloading ok");
  CHECK(last.done == 256000);
  CHECK(last.total == 256000);
  CHECK(last.unit == "bytes");

  CHECK(server.get("/empty").status == 200);
  CHECK(server.received.empty());
}

TEST_CASE("other answers have a status and no body, even an endless one") {
  Server server;
  CHECK(server.get("/missing").status == 404);
  CHECK(server.received.empty());
  CHECK(server.get("/endless-404").status == 404);
  CHECK(server.received.empty());
  const auto busy = server.get("/busy");
  CHECK(busy.status == 503);
  CHECK(busy.retry_after == std::chrono::seconds(7));
  CHECK(server.get("/busy").status == 200);
}

TEST_CASE("redirects are followed five times and never away from http") {
  Server server;
  CHECK(server.get("/moved").status == 200);
  CHECK(server.received.size() == 256000);
  for (const std::string path : {"/loop", "/to-file", "/to-user"}) {
    CAPTURE(path);
    const auto error = server.error_of(path);
    CHECK(error.code() == Exit::network);
    CHECK(error.message() == server.named(path));
    CHECK(!error.hint().empty());
    CHECK(error.text().find("secret") == std::string::npos);
    CHECK(server.received.empty());
  }
}

TEST_CASE("a body longer than allowed is broken off at the bound") {
  Server server;
  const auto error = server.error_of("/endless");
  CHECK(error.code() == Exit::network);
  CHECK(error.message() == server.named("/endless") + ": it has more than 1000000 bytes");
  CHECK(server.received.size() <= 1'000'000);

  auto request = server.request("/ok");
  request.max_bytes = 256000;
  CHECK(server.get(request).status == 200);
  request.max_bytes = 255999;
  CHECK(server.error_of(request).code() == Exit::network);
}

TEST_CASE("a body that is cut short or stalls is an error") {
  Server server;
  CHECK(server.error_of("/short").code() == Exit::network);
  const auto begin = std::chrono::steady_clock::now();
  const auto error = server.error_of("/slow");
  CHECK(error.code() == Exit::network);
  CHECK(error.message() == server.named("/slow"));
  CHECK(!error.cause().empty());
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(15));
}

TEST_CASE("a stop breaks off an exchange") {
  Server server;
  std::stop_source stop;
  std::jthread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    stop.request_stop();
  });
  auto request = server.request("/slow");
  request.stall_timeout = std::chrono::seconds(15);
  CHECK(server.error_of(request, stop.get_token()).code() == Exit::interrupted);
}

TEST_CASE("what the callers' functions throw comes back unchanged") {
  Server server;
  NullSink sink;
  CHECK_THROWS_WITH_AS(
      server.http->get(server.request("/ok"),
                       [](ByteView) { throw std::runtime_error("disk full"); }, sink, {}),
      "disk full", std::runtime_error);

  struct Bad final : Sink {
    void send(const Event&) override { throw std::runtime_error("closed"); }
  } bad;
  CHECK_THROWS_WITH_AS(server.http->get(server.request("/ok"), [](ByteView) {}, bad, {}), "closed",
                       std::runtime_error);
}

TEST_CASE("a request says who it is from and nothing more") {
  Server server;
  server.get("/headers");
  CHECK(server.received.find("User-Agent: volt\n") != std::string::npos);
  for (const std::string other : {"Cookie", "Authorization", "Accept-Encoding", "Referer"})
    CHECK(server.received.find(other) == std::string::npos);
}

TEST_CASE("a port where nobody listens is a network error with the cause") {
  Server server;
  Request request;
  request.url = "http://127.0.0.1:1/x";
  const auto error = server.error_of(request);
  CHECK(error.code() == Exit::network);
  CHECK(error.message() == "cannot fetch http://127.0.0.1:1/x");
  CHECK(!error.cause().empty());
}

TEST_CASE("a download meets a busy server again") {
  Server server;
  std::string body;
  int restarts = 0;
  std::chrono::milliseconds waited{0};
  NullSink sink;
  download(
      *server.http, server.request("/busy"), [&](ByteView bytes) { body += as_text(bytes); },
      [&] { ++restarts; }, sink, {}, [&](std::chrono::milliseconds wait) { waited += wait; });
  CHECK(body.size() == 256000);
  CHECK(restarts == 1);
  CHECK(waited == std::chrono::seconds(7));
}

}  // namespace
}  // namespace volt::net
