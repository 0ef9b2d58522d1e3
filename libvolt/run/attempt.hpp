// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "libvolt/run/folder.hpp"
#include "libvolt/run/run.hpp"

namespace volt::run {

/// Sends everything on, and what a person may want to read later to a run's log as well.
class LogSink final : public Sink {
 public:
  LogSink(Sink& sink, const Folder& folder) : sink_(sink), folder_(folder) {}
  void send(const Event& event) override;
  bool ready() override { return sink_.ready(); }
  /// A line of volt's own, in the log alone.
  void add(const std::string& line);

 private:
  Sink& sink_;
  const Folder& folder_;
  bool mid_line_ = false;  ///< the program's last line is not ended
};

/// Digest of a job without its limits: with others it is still the same run, for a person may raise
/// one and go on.
Digest identity_of(const schema::Job& job);

/// One attempt at a job, whatever its workload: its inputs in hand, its folder locked, and in the
/// end its receipt signed and in place.
class Attempt {
 public:
  /// `outputs` as far as they are known; see Folder.
  Attempt(const JobFile& file, const Options& options, const std::vector<std::string>& outputs,
          crypto::KeyStore& keys, Sink& sink, const Interrupt& interrupt);

  const schema::Job& job() const { return job_; }
  const Options& options() const { return options_; }
  const std::vector<inputs::Found>& found() const { return found_; }
  Folder& folder() { return folder_; }
  Sink& sink() { return log_; }
  const Interrupt& interrupt() const { return interrupt_; }
  std::uint64_t elapsed_ns() const;

  /// A receipt with all that does not depend on the workload, but for outputs and trace.
  schema::Receipt receipt() const;
  /// What a receipt says of a file that was found. Throws Error (conflict) if it was changed since.
  static schema::InputRecord record(const inputs::Found& input);

  /// Signs, and gives everything its name. `more` goes into run.json.
  Outcome complete(schema::Receipt receipt, const doc::Value::Object& more);
  /// Leaves run.json for a command whose program ended with another status than 0.
  void leave(int status, const doc::Value::Object& more);
  /// The same for a run that an error ended. Says nothing if that is impossible, for the error says
  /// more.
  void leave(std::string_view ended, int status, const Error& error) noexcept;

 private:
  Folder open_folder(const std::vector<std::string>& outputs) const;
  std::string run_json(std::string_view ended, int status, Exit exit,
                       const doc::Value::Object& more) const;

  std::chrono::steady_clock::time_point begin_;
  const schema::Job& job_;
  const Options& options_;
  crypto::SigningKey key_;
  const Interrupt& interrupt_;
  std::string resolved_;
  std::vector<inputs::Found> found_;
  Folder folder_;
  LogSink log_;
};

Outcome run_matmul(Attempt& attempt);
Outcome run_finetune(Attempt& attempt);
Outcome run_generate(Attempt& attempt);
Outcome run_command(Attempt& attempt);

}  // namespace volt::run
