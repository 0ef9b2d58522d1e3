// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "libvolt/crypto/key_store.hpp"
#include "libvolt/device/device.hpp"
#include "libvolt/inputs/inputs.hpp"
#include "libvolt/run/job_file.hpp"
#include "libvolt/run/program.hpp"
#include "libvolt/run/worker.hpp"
#include "libvolt/schema/receipt.hpp"

/// One job, here: everything found, the work followed, the receipt signed, all put into place.
namespace volt::run {

struct Options {
  host::Path folder;  ///< empty: NAME.run
  bool force = false;
  device::Wanted device;
  Given given;  ///< for a command's program
  inputs::Places places;
  /// Called with the folder once it is this run's, and before anything is computed.
  std::function<void(const host::Path&)> begun;
  /// What this process will end with when it was asked to stop; 130 when not given.
  std::function<int()> stopped_status;
};

struct Outcome {
  host::Path folder;
  int status = 0;  ///< of a command's program
  /// Absent when a command's program ended with another status than 0: then the run is not
  /// complete.
  std::optional<schema::Receipt> receipt;
  Digest receipt_digest;  ///< SHA-256 of its payload
  std::string sketch;     ///< the image in characters; empty when the job makes none
  double multiply_adds = 0;
  doc::Value::Object facts;  ///< of a training: what run.json says of it, for the result
};

/// The folder that a job is run in when nobody says another one.
inline host::Path usual_folder(const schema::Job& job) { return job.name + ".run"; }

/// What a command's gpu-run ends with when it is volt that failed; docker, env and timeout do so
/// too.
inline constexpr int own_failure = 125;

/// How an error ended a run, as its run.json says it.
struct End {
  std::string_view ended;  ///< "limit", "interrupted", "volt"
  int status = 0;          ///< what gpu-run ends with, but for --exit-class
};
End end_of(const Error& error, const schema::Job& job, const Options& options);

/// Throws Error; after one, the same call goes on where this one stopped (a command: starts anew).
Outcome run_job(const JobFile& file, const Options& options, crypto::KeyStore& keys, Sink& sink,
                const Interrupt& interrupt);

}  // namespace volt::run
