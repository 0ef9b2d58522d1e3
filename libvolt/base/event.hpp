// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

namespace volt {

/// How far long work has come. `total` is 0 when it is not known.
struct Progress {
  std::string what;  ///< "product", "hashing a.npy"
  std::uint64_t done = 0;
  std::uint64_t total = 0;
  std::string unit;  ///< "rows", "bytes", "elements"
  /// What a person wants to see beside it, in place of the rate, the more important first: "loss
  /// 1.2345, 3105 tokens/s".
  std::string beside = {};
};

/// Talk for a person.
struct Log {
  enum class Level { debug, info, warning };
  Level level = Level::info;
  std::string text;
};

/// A number of a run, for --json. One that is not finite is null there.
struct Metric {
  std::string name;
  double value = 0;
  std::string unit;
  std::optional<std::uint64_t> step = {};  ///< of a training
};

/// What a job's own program, or a job for a person to look at, printed. Passed through unchanged.
struct Output {
  std::string text;    ///< a piece, not always whole lines
  bool error = false;  ///< from its standard error
};

using Event = std::variant<Progress, Log, Metric, Output>;

/// Where libraries send what they have to say: they never print. Not thread-safe; one thread sends.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void send(const Event& event) = 0;
  /// Whether an Output of up to 4 KiB would go out without waiting for its reader.
  virtual bool ready() { return true; }
};

/// Swallows everything.
class NullSink final : public Sink {
 public:
  void send(const Event&) override {}
};

}  // namespace volt
