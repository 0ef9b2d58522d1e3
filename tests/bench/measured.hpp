// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// What a measurement leaves behind: a document of the schema "volt.measured/1" (docs/measured/
/// keeps some). Speeds are always beside a peer's of the same run, on the same machine.
namespace volt::bench {

/// Where it was measured. A text that is not known, or does not apply, is empty: null in JSON.
struct Machine {
  std::string cpu;  ///< "AMD EPYC 9654 96-Core Processor"
  unsigned cores = 0;
  std::uint64_t memory_bytes = 0;
  std::string kernel;        ///< "6.1.0-37-amd64"
  std::string gpu;           ///< "NVIDIA H200"
  std::string capability;    ///< "9.0"
  std::string driver;        ///< "580.65.06"
  std::string cuda_runtime;  ///< "13.0"
};

/// The machine that this runs on, without its GPUs.
Machine this_machine();

/// How often an operation was compared with its reference, and in how many cases a bit differed.
struct Parity {
  std::string operation;
  std::uint64_t cases = 0, differ = 0;
};

/// One speed. More is better, whatever the unit.
struct Row {
  std::string what;   ///< "f32x"
  std::string shape;  ///< "abt 4096x4096x4096", m n k
  std::string unit;   ///< "Gop/s", "GB/s"
  double ours = 0;
  std::optional<double> peer;
  std::string peer_name;              ///< "OpenBLAS 0.3.21", or why there is none
  double spread = 0;                  ///< of ours, see Summary
  std::optional<double> target = {};  ///< what ours must be at least, of the peer's

  std::optional<double> ratio() const;  ///< ours over the peer's
  bool passes() const;                  ///< whether it reaches its target
};

struct Report {
  std::string what;    ///< "cpu" or "gpu"
  std::string commit;  ///< empty: as the build knows it
  Machine machine;
  std::vector<Parity> parity;
  std::vector<Row> rows;
};

/// How such a document begins, dated now: "{", schema, what, date, commit and machine, without what
/// follows the last of them.
std::string heading(const std::string& what, const std::string& commit, const Machine& machine);

/// The document. Figures have four digits. A row that has a target says whether it passes.
std::string to_json(const Report& report);

/// The same for people: a line each, in columns.
std::string to_table(const Report& report);

/// Several samples of one quantity.
struct Summary {
  double median = 0;
  double spread = 0;  ///< distance of the quartiles over the median
};

/// Throws std::invalid_argument when there are none.
Summary summarise(std::vector<double> samples);

}  // namespace volt::bench
