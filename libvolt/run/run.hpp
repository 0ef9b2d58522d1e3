// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "libvolt/crypto/key_store.hpp"
#include "libvolt/device/device.hpp"
#include "libvolt/inputs/inputs.hpp"
#include "libvolt/run/job_file.hpp"
#include "libvolt/run/worker.hpp"
#include "libvolt/schema/receipt.hpp"

/// One job, here: everything found, the worker followed, the receipt signed, all put into place.
namespace volt::run {

struct Options {
  host::Path folder;  ///< empty: NAME.run
  bool force = false;
  device::Wanted device;
  inputs::Places places;
};

struct Outcome {
  host::Path folder;
  schema::Receipt receipt;
  std::string sketch;  ///< the image in characters; empty when the job makes none
  double multiply_adds = 0;
};

/// Throws Error; after one, the same call goes on where this one stopped.
Outcome run_job(const JobFile& file, const Options& options, crypto::KeyStore& keys, Sink& sink,
                const Interrupt& interrupt);

/// Limits a worker's device memory when nobody does: nine tenths of the machine's.
device::Wanted with_default_limit(device::Wanted wanted);

/// The members of a task that every task has.
doc::Value::Object task_members(std::string_view task, const doc::Value& job,
                                const device::Wanted& device);

/// The name under which outputs and receipts name this program: "gpu-run 0.1.0".
std::string tool_version();

}  // namespace volt::run
