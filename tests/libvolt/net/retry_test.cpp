// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <deque>
#include <functional>
#include <stdexcept>

#include "libvolt/base/error.hpp"
#include "libvolt/net/http.hpp"
#include "libvolt/net/url.hpp"

namespace volt::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Body = std::function<void(ByteView)>;
using Answer = std::function<Response(const Body&)>;

Answer status(int value, seconds retry_after = seconds(0)) {
  return [=](const Body&) { return Response{value, retry_after}; };
}

Answer broken_after(std::string text) {
  return [=](const Body& body) -> Response {
    body(as_bytes(text));
    throw Error(Exit::network, "cannot fetch", "", "connection reset");
  };
}

Answer whole(std::string text) {
  return [=](const Body& body) {
    body(as_bytes(text));
    return Response{200, seconds(0)};
  };
}

/// Gives the answers in order, the last one for ever.
struct FakeHttp final : Http {
  std::deque<Answer> answers;
  int calls = 0;

  Response get(const Request&, const Body& body, Sink&, std::stop_token) override {
    ++calls;
    const Answer answer = answers.front();
    if (answers.size() > 1) answers.pop_front();
    return answer(body);
  }
};

struct Logs final : Sink {
  std::vector<std::string> texts;
  void send(const Event& event) override { texts.push_back(std::get<Log>(event).text); }
};

/// A download of http://h/x, and what came of it.
struct Fixture {
  FakeHttp http;
  Logs logs;
  std::string body;
  int restarts = 0;
  std::vector<milliseconds> waits;
  std::stop_source stop;
  std::string url = "http://h/x?token=secret";

  void run() {
    Request request;
    request.url = url;
    download(
        http, request, [&](ByteView bytes) { body += as_text(bytes); },
        [&] {
          ++restarts;
          body.clear();
        },
        logs, stop.get_token(), [&](milliseconds wait) { waits.push_back(wait); });
  }
  Error error() {
    try {
      run();
    } catch (const Error& error) {
      return error;
    }
    return Error(Exit::ok, "none");
  }
};

TEST_CASE_FIXTURE(Fixture, "a download that works is tried once") {
  http.answers = {whole("abc")};
  run();
  CHECK(body == "abc");
  CHECK(http.calls == 1);
  CHECK(restarts == 0);
  CHECK(waits.empty());
}

TEST_CASE_FIXTURE(Fixture, "what a broken try left is dropped before the next") {
  http.answers = {broken_after("ab"), broken_after("x"), whole("abc")};
  run();
  CHECK(body == "abc");
  CHECK(restarts == 2);
  CHECK(logs.texts.size() == 2);
  CHECK(logs.texts[0].starts_with("cannot fetch: connection reset; trying again in "));
}

TEST_CASE_FIXTURE(Fixture, "waits are random below a bound that doubles") {
  std::vector<milliseconds> longest(4);
  for (int round = 0; round < 200; ++round) {
    waits.clear();
    http.answers = {status(500)};
    CHECK(error().code() == Exit::network);
    REQUIRE(waits.size() == 4);
    for (std::size_t i = 0; i < 4; ++i) {
      CHECK(waits[i] >= milliseconds(0));
      CHECK(waits[i] <= seconds(1 << i));
      longest[i] = std::max(longest[i], waits[i]);
    }
  }
  for (std::size_t i = 0; i < 4; ++i) CHECK(longest[i] > milliseconds(500 << i));
}

TEST_CASE_FIXTURE(Fixture, "retry-after is honoured up to a minute") {
  http.answers = {status(503, seconds(7)), status(429, seconds(86400)), whole("abc")};
  run();
  CHECK(waits == std::vector<milliseconds>{seconds(7), seconds(60)});
  CHECK(logs.texts[0] == "http://h/x answered with status 503; trying again in 7.0 s");
}

TEST_CASE_FIXTURE(Fixture, "passing troubles are tried five times") {
  for (const auto& [value, code] : {std::pair{408, Exit::network},
                                    {425, Exit::network},
                                    {429, Exit::throttled},
                                    {500, Exit::network},
                                    {503, Exit::network},
                                    {599, Exit::network}}) {
    const auto shown_value = value;
    CAPTURE(shown_value);
    http.calls = 0;
    http.answers = {status(value)};
    const auto failure = error();
    CHECK(failure.code() == code);
    CHECK(failure.text() == "http://h/x answered with status " + std::to_string(value) +
                                ", while trying for the last of 5 times");
    CHECK(http.calls == 5);
  }
  http.calls = 0;
  http.answers = {broken_after("ab")};
  CHECK(error().code() == Exit::network);
  CHECK(http.calls == 5);
}

TEST_CASE_FIXTURE(Fixture, "lasting troubles are tried once and have their exit status") {
  for (const auto& [value, code] : {std::pair{404, Exit::not_found},
                                    {410, Exit::not_found},
                                    {401, Exit::authentication},
                                    {403, Exit::authentication},
                                    {400, Exit::network},
                                    {304, Exit::network},
                                    {600, Exit::network}}) {
    const auto shown_value = value;
    CAPTURE(shown_value);
    http.calls = 0;
    http.answers = {status(value)};
    CHECK(error().code() == code);
    CHECK(http.calls == 1);
  }
}

TEST_CASE_FIXTURE(Fixture, "errors that another try cannot mend pass at once") {
  http.answers = {[](const Body&) -> Response { throw Refused("too long"); }};
  CHECK(error().message() == "too long");
  http.answers = {[](const Body&) -> Response { throw Error(Exit::local_io, "disk full"); }};
  CHECK(error().message() == "disk full");
  http.answers = {[](const Body&) -> Response { throw std::runtime_error("odd"); }};
  CHECK_THROWS_WITH_AS(run(), "odd", std::runtime_error);
  CHECK(http.calls == 3);
}

TEST_CASE_FIXTURE(Fixture, "a stop ends a download before its first and its next try") {
  http.answers = {[this](const Body&) {
    stop.request_stop();
    return Response{503, seconds(0)};
  }};
  CHECK(error().code() == Exit::interrupted);
  CHECK(http.calls == 1);
  CHECK(restarts == 0);
  CHECK(error().message() == "stopped while fetching http://h/x");
  CHECK(http.calls == 1);
}

TEST_CASE("a stop ends the wait itself") {
  FakeHttp http;
  http.answers = {status(503, seconds(50))};
  struct Stop final : Sink {
    std::stop_source source;
    void send(const Event&) override { source.request_stop(); }
  } sink;
  Request request;
  request.url = "https://h/x";
  const auto begin = std::chrono::steady_clock::now();
  CHECK_THROWS_AS(download(
                      http, request, [](ByteView) {}, [] {}, sink, sink.source.get_token()),
                  Error);
  CHECK(std::chrono::steady_clock::now() - begin < seconds(20));
}

TEST_CASE_FIXTURE(Fixture, "a download of what is no URL for volt never starts") {
  http.answers = {whole("abc")};
  url = "file:///etc/passwd";
  CHECK(error().code() == Exit::usage);
  CHECK(http.calls == 0);
}

}  // namespace
}  // namespace volt::net
