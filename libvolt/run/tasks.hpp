// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <string>

#include "libvolt/base/event.hpp"
#include "libvolt/doc/value.hpp"

/// What a worker does when it is told to: the only code that parses tensors and computes.
namespace volt::run {

/// A task as the worker received it.
struct Request {
  doc::Value value;
  std::map<std::string, int, std::less<>> files;  ///< descriptor by name

  int file(std::string_view name) const;  ///< throws Error (failure) when it was not handed over
  bool has(std::string_view name) const { return files.count(name) != 0; }
};

/// Sends a message that is no event.
using Say = std::function<void(doc::Value)>;

/// Each returns the members of its last message.
doc::Value::Object do_run(const Request& request, Sink& sink, const Say& say);
doc::Value::Object do_replay(const Request& request, Sink& sink, const Say& say);
doc::Value::Object do_prove(const Request& request, Sink& sink, const Say& say);
doc::Value::Object do_openings(const Request& request, Sink& sink, const Say& say);
doc::Value::Object do_plan(const Request& request, Sink& sink, const Say& say);
doc::Value::Object do_train(const Request& request, Sink& sink, const Say& say);
doc::Value::Object do_retrain(const Request& request, Sink& sink, const Say& say);
doc::Value::Object do_generate(const Request& request, Sink& sink, const Say& say);
doc::Value::Object do_regenerate(const Request& request, Sink& sink, const Say& say);

/// The most that do_plan() takes to make a network and try it.
inline constexpr unsigned most_trial_s = 20;

}  // namespace volt::run
