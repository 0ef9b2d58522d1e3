// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/messages.hpp"

#include <cstdint>

#include "libvolt/doc/fields.hpp"

namespace volt::run {
namespace {

using doc::Fields;
using doc::Source;
using doc::Value;

const Source source{"worker", Exit::failure};

}  // namespace

Value to_message(const Event& event) {
  struct Writer {
    Value operator()(const Progress& e) const {
      return Value::Object{{"progress", Value::Object{{"what", e.what},
                                                      {"done", e.done},
                                                      {"total", e.total},
                                                      {"unit", e.unit},
                                                      {"beside", e.beside}}}};
    }
    Value operator()(const Log& e) const {
      return Value::Object{
          {"log", Value::Object{{"level", static_cast<int>(e.level)}, {"text", e.text}}}};
    }
    Value operator()(const Metric& e) const {
      return Value::Object{
          {"metric", Value::Object{{"name", e.name}, {"value", e.value}, {"unit", e.unit}}}};
    }
    Value operator()(const Output& e) const { return Value::Object{{"printed", e.text}}; }
  };
  return std::visit(Writer{}, event);
}

bool send_event(const Value& message, Sink& sink) {
  if (const auto* progress = message.find("progress")) {
    Fields fields(*progress, source, "progress");
    sink.send(Progress{fields.string("what"),
                       static_cast<std::uint64_t>(fields.integer("done", 0, INT64_MAX)),
                       static_cast<std::uint64_t>(fields.integer("total", 0, INT64_MAX)),
                       fields.string("unit"), fields.string("beside")});
  } else if (const auto* log = message.find("log")) {
    Fields fields(*log, source, "log");
    sink.send(Log{static_cast<Log::Level>(fields.integer("level", 0, 2)), fields.string("text")});
  } else if (const auto* metric = message.find("metric")) {
    Fields fields(*metric, source, "metric");
    sink.send(Metric{fields.string("name"), fields.number("value", -1e300, 1e300),
                     fields.string("unit")});
  } else if (message.find("printed") != nullptr) {
    sink.send(Output{Fields(message, source).string("printed")});
  } else {
    return false;
  }
  return true;
}

Value to_message(const Error& error) {
  Value::Array notes;
  for (const auto& note : error.notes()) notes.emplace_back(note);
  return Value::Object{{"error", Value::Object{{"exit", static_cast<int>(error.code())},
                                               {"message", error.message()},
                                               {"hint", error.hint()},
                                               {"cause", error.cause()},
                                               {"while", std::move(notes)}}}};
}

void throw_message(const Value& message) {
  Fields fields(message, source, "error");
  Error error(static_cast<Exit>(fields.integer("exit", 1, 255)), fields.string("message"),
              fields.string("hint"), fields.string("cause"));
  for (const auto& note : fields.array("while")) {
    if (const auto* text = note.get_if<std::string>()) error.note(*text);
  }
  throw error;
}

}  // namespace volt::run
