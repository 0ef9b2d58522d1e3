// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/messages.hpp"

#include <doctest/doctest.h>

#include "libvolt/doc/read.hpp"
#include "tests/libvolt/doc/message.hpp"

using namespace volt;
using namespace volt::run;
using doc::Value;

namespace {

struct Kept final : Sink {
  std::vector<Event> events;
  void send(const Event& event) override { events.push_back(event); }
};

/// As through the pipe: to text and back.
Value through(const Value& value) {
  const std::string line = doc::to_canonical_json(value);
  CHECK(line.find('\n') == std::string::npos);
  return doc::parse_json(line, "worker", {max_message_bytes, 8}, Exit::failure);
}

template <class E>
E sent(const E& event) {
  Kept kept;
  CHECK(send_event(through(to_message(event)), kept));
  REQUIRE(kept.events.size() == 1);
  REQUIRE(std::holds_alternative<E>(kept.events[0]));
  return std::get<E>(kept.events[0]);
}

std::string nonsense(const std::string& json) {
  NullSink sink;
  return message_of([&] { send_event(doc::parse_json(json, "worker"), sink); });
}

}  // namespace

TEST_CASE("events arrive as they were sent") {
  const auto progress =
      sent(Progress{"hashing \"a\"\n.npy", 3, 1'000'000'000'000, "bytes", "loss 1"});
  CHECK(progress.what == "hashing \"a\"\n.npy");
  CHECK(progress.done == 3);
  CHECK(progress.total == 1'000'000'000'000);
  CHECK(progress.unit == "bytes");
  CHECK(progress.beside == "loss 1");
  for (const auto level : {Log::Level::debug, Log::Level::info, Log::Level::warning}) {
    const auto log = sent(Log{level, "text\twith é"});
    CHECK(log.level == level);
    CHECK(log.text == "text\twith é");
  }
  const auto metric = sent(Metric{"loss", -0.1234567890123456, "nats"});
  CHECK(metric.name == "loss");
  CHECK(metric.value == -0.1234567890123456);
  CHECK(metric.unit == "nats");
  CHECK(sent(Metric{"count", 3, ""}).value == 3);
  CHECK(sent(Output{"line\n\x01"}).text == "line\n\x01");
}

TEST_CASE("what is no event is left to others") {
  Kept kept;
  CHECK_FALSE(send_event(Value(Value::Object{{"pages", Value::Array{}}}), kept));
  CHECK_FALSE(send_event(Value(3), kept));
  CHECK(kept.events.empty());
}

TEST_CASE("nonsense from a worker is an error, not an event") {
  CHECK(nonsense(R"({"progress":{"what":"x"}})") == "worker: progress.done is missing");
  CHECK(nonsense(R"({"progress":{"what":"x","done":-1,"total":2,"unit":""}})") ==
        "worker: progress.done is -1, not 0 or more");
  CHECK(nonsense(R"({"progress":3})") == "worker: progress is a whole number, not a table");
  CHECK(nonsense(R"({"log":{"level":3,"text":"x"}})") == "worker: log.level is 3, not from 0 to 2");
  CHECK(nonsense(R"({"metric":{"name":"x","value":"y","unit":""}})") ==
        "worker: metric.value is a string, not a number");
  CHECK(nonsense(R"({"printed":1})") == "worker: printed is a whole number, not a string");
}

TEST_CASE("an error is thrown here as it was there") {
  Error there(Exit::verification_failed, "a is wrong", "mend \"it\"", "because");
  there.note("inner");
  there.note("outer");
  const Value message = through(to_message(there));
  REQUIRE(message.find("error") != nullptr);
  try {
    throw_message(*message.find("error"));
  } catch (const Error& here) {
    CHECK(here.code() == there.code());
    CHECK(here.message() == there.message());
    CHECK(here.hint() == there.hint());
    CHECK(here.cause() == there.cause());
    CHECK(here.notes() == there.notes());
    CHECK(here.text() == there.text());
  }
}

TEST_CASE("a worker cannot report success, nor nonsense, as an error") {
  const auto thrown = [](const std::string& json) {
    return message_of([&] { throw_message(doc::parse_json(json, "worker")); });
  };
  CHECK(thrown(R"({"exit":0,"message":"x","hint":"","cause":"","while":[]})") ==
        "worker: error.exit is 0, not from 1 to 255");
  CHECK(thrown(R"({"exit":256,"message":"x","hint":"","cause":"","while":[]})") ==
        "worker: error.exit is 256, not from 1 to 255");
  CHECK(thrown(R"({"exit":1,"hint":"","cause":"","while":[]})") ==
        "worker: error.message is missing");
  CHECK(thrown("3") == "worker: error is a whole number, not a table");
}
