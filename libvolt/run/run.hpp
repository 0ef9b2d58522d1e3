// SPDX-License-Identifier: Apache-2.0
#pragma once

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
};

/// The folder that a job is run in when nobody says another one.
inline host::Path usual_folder(const schema::Job& job) { return job.name + ".run"; }

/// Throws Error; after one, the same call goes on where this one stopped (a command: starts anew).
Outcome run_job(const JobFile& file, const Options& options, crypto::KeyStore& keys, Sink& sink,
                const Interrupt& interrupt);

}  // namespace volt::run
