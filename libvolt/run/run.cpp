// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/run.hpp"

#include <csignal>

#include "libvolt/run/attempt.hpp"

namespace volt::run {

End end_of(const Error& error, const schema::Job& job, const Options& options) {
  if (const auto* stopped = dynamic_cast<const Stopped*>(&error)) {
    return {stopped->ended(), stopped->status()};
  }
  const int code = static_cast<int>(error.code());
  if (error.code() == Exit::timeout) return {"limit", code};
  if (error.code() == Exit::interrupted || error.code() == Exit::terminated) {
    return {"interrupted", options.stopped_status ? options.stopped_status() : code};
  }
  return {"volt", job.is_command() ? own_failure : code};
}

Outcome run_job(const JobFile& file, const Options& options, crypto::KeyStore& keys, Sink& sink,
                const Interrupt& interrupt) {
  Attempt attempt(file, options, file.job.outputs(), keys, sink, interrupt);
  try {
    if (file.job.is_command()) return run_command(attempt);
    if (options.begun) options.begun(attempt.folder().path());
    if (file.job.is_finetune()) return run_finetune(attempt);
    if (file.job.is_generate()) return run_generate(attempt);
    return run_matmul(attempt);
  } catch (const Error& error) {
    const End end = end_of(error, file.job, options);
    attempt.leave(end.ended, end.status, error);
    throw;
  } catch (...) {
    // Whoever read the output is gone, and with him the wish for more.
    attempt.leave("interrupted", 128 + SIGPIPE,
                  Error(Exit::interrupted, "nobody reads the output"));
    throw;
  }
}

}  // namespace volt::run
