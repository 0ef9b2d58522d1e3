// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libvolt/doc/fields.hpp"
#include "libvolt/doc/value.hpp"
#include "libvolt/schema/finetune.hpp"
#include "libvolt/schema/generate.hpp"
#include "libvolt/schema/input.hpp"

namespace volt::schema {

/// C = A * B.
struct Matmul {
  Input a, b;
  bool transpose_a = false, transpose_b = false;
  std::string out = "c.npy";
  std::string image;  ///< also C as a grey picture (PGM), empty: none
  std::string profile = "f32x";
};

/// Any program. Its inputs appear in its working folder under their names, read-only.
struct Command {
  std::vector<std::string> argv;
  std::vector<std::pair<std::string, std::string>> env;  ///< by name
  std::vector<std::string> secrets;                      ///< names of variables; never their values
  std::vector<std::pair<std::string, Input>> inputs;     ///< by name: "data/train.csv"
  std::vector<std::string> outputs;                      ///< patterns; each must match a file
  std::vector<std::string> optional;                     ///< patterns that may match none
};

/// What a command needs of the machine.
struct Resources {
  std::uint64_t gpus = 0;
};

struct Limits {
  std::optional<std::chrono::seconds> time;
  std::optional<std::uint64_t> memory_bytes;  ///< of the device; of a command all that it uses
  std::optional<std::uint64_t> disk_bytes;    ///< of the outputs; of a command all that it writes
  std::optional<std::uint64_t> processes;     ///< of a command, threads counted
  bool network = false;                       ///< whether a command may use it
};

/// Bounds what a verifier can make a prover, and itself, look up and compute.
inline constexpr std::uint64_t max_draws = 1'000'000;

/// What a verifier must be able to conclude; see gpu-verify(1), Levels.
enum class Demand { identity, work, output };

struct ProofPolicy {
  std::string level = "L2";   ///< L0, L2, L4, all
  double catch_share = 0.01;  ///< the smallest share of wrong units that must be caught ...
  double error = 1e-12;       ///< ... but for this probability

  Demand demand() const;
  /// Units to draw: the least k with (1 - catch)^k <= error.
  std::uint64_t draws() const;
  /// This policy, or `usual` where that is stricter: a prover may have written the job.
  ProofPolicy at_least(const ProofPolicy& usual) const;
};

struct Job {
  std::string name;  ///< the file's stem when the job does not say
  std::string
      workload;  ///< "matmul", "finetune", "generate" or "command"; the other tables are empty
  Matmul matmul;
  Finetune finetune;
  Generate generate;
  Command command;
  Resources resources;
  Limits limits;
  ProofPolicy proof;

  bool is_command() const { return workload == "command"; }
  bool is_finetune() const { return workload == "finetune"; }
  bool is_generate() const { return workload == "generate"; }
  /// Whether it is computed by a language model.
  bool has_model() const { return is_finetune() || is_generate(); }
  /// Of the numerics; of a command "none".
  const std::string& profile() const;
  /// Whether its units have one right result, and not one within tolerance.
  bool is_exact() const { return profile() != "native"; }
  /// Whether an input may be, or must be, a folder.
  bool takes_folder(std::string_view input) const { return is_command() || needs_folder(input); }
  /// Whether a file of a folder is looked at: of a model, a tokenizer or an adapter what is read of
  /// it, whatever else lies there, of a command's inputs all.
  bool reads(std::string_view input, std::string_view file) const;
  bool needs_folder(std::string_view input) const {
    return has_model() && input != "data" && input != "prompts";
  }
  /// What it makes, in the order of its receipt; of a command nobody knows before.
  std::vector<std::string> outputs() const;
  /// The inputs by name, in a fixed order.
  std::vector<std::pair<std::string_view, const Input*>> inputs() const;
  std::vector<std::pair<std::string_view, Input*>> inputs();
};

inline constexpr std::string_view job_schema = "volt.job/1";
/// Numbers of documents that are digested stay below 2^53: every JSON reader agrees on those.
inline constexpr std::int64_t max_integer = (std::int64_t{1} << 53) - 1;

/// What a workload's jobs demand when they do not say: of a command nothing beyond its identity,
/// for only running it again shows more.
ProofPolicy usual_policy(const Job& job);

/// Reads and checks a job. `stem` names it when it has no name. Throws Error (source.code) with
/// file, line, column and a suggestion.
Job parse_job(const doc::Value& value, const doc::Source& source, std::string_view stem);

/// The resolved job: every setting, defaults included, in the one form that is digested. Reading it
/// again gives the same job.
doc::Value to_value(const Job& job);

inline constexpr std::string_view adapter_files[] = {"adapter_config.json",
                                                     "adapter_model.safetensors"};

/// Whether `name` can be that of an environment variable: [A-Za-z_][A-Za-z0-9_]*.
bool is_variable(std::string_view name);

/// Whether `path` is one below a folder, in its plainest form: "data/train.csv".
bool is_plain_path(std::string_view path);

/// What is wrong with a relative path ("logs/a.txt") as that of an output in a run folder, to go on
/// with after its name: "is no plain file name", "is a name that volt uses itself"; empty: nothing.
std::string why_no_output(std::string_view path);
/// The same for an output that lies in the run folder itself. Throws Error (of `fields`).
void check_output_name(std::string_view name, const doc::Fields& fields, std::string_view key,
                       const doc::Value& value);

}  // namespace volt::schema
