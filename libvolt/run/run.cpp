// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/run.hpp"

#include "libvolt/run/attempt.hpp"

namespace volt::run {

Outcome run_job(const JobFile& file, const Options& options, crypto::KeyStore& keys, Sink& sink,
                const Interrupt& interrupt) {
  const auto outputs = file.job.is_command() ? std::vector<std::string>() : output_names(file.job);
  Attempt attempt(file, options, outputs, keys, sink, interrupt);
  try {
    return file.job.is_command() ? run_command(attempt) : run_matmul(attempt);
  } catch (const Stopped& error) {
    attempt.leave(error.ended(), error.status(), error);
    throw;
  } catch (const Error& error) {
    const bool limit = error.code() == Exit::timeout;
    const bool stopped = error.code() == Exit::interrupted || error.code() == Exit::terminated;
    attempt.leave(limit     ? "limit"
                  : stopped ? "interrupted"
                            : "volt",
                  static_cast<int>(error.code()), error);
    throw;
  }
}

}  // namespace volt::run
