// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "libvolt/schema/job.hpp"

/// The tables that a job is made of, each with its reader and its writer. Only parse_job() and
/// to_value() call them.
namespace volt::schema {

inline constexpr std::int64_t max_steps = 10'000'000;
/// The largest context that a model may have.
inline constexpr std::int64_t max_context = 1 << 24;
/// Profiles that a model is trained with, of which all but the last are exact, and it generates
/// with these alone; and how its frozen matrices are kept.
inline constexpr std::array<std::string_view, 4> training_profiles{"i8x", "i8x2", "f32x", "native"};
inline constexpr auto exact_profiles = std::span(training_profiles).first<3>();
inline constexpr std::array<std::string_view, 3> base_formats{"fp32", "bf16", "nf4"};

/// The input that a member is; absent: one that is to be bound by the person.
Input parse_input(doc::Fields& parent, const doc::Source& source, std::string_view key);
doc::Value input_value(const Input& input);

/// An integer that is not negative.
std::uint64_t parse_count(doc::Fields& fields, std::string_view key, std::int64_t low,
                          std::int64_t high);

/// A folder, or a file as it is: neither made from a seed nor one tensor of a file.
Input parse_whole(doc::Fields& fields, const doc::Source& source, std::string_view key,
                  bool folder);
/// What the person calls such a file; `usual` where the job does not say it.
std::string name_of(const Input& input, std::string usual);

Matmul parse_matmul(doc::Fields fields, const doc::Source& source);
doc::Value matmul_value(const Matmul& matmul);

Finetune parse_finetune(doc::Fields fields, const doc::Source& source);
doc::Value finetune_value(const Finetune& finetune);

/// The finetune's `method`, `model` and `stop_when`.
Method parse_method(doc::Fields& parent);
doc::Value method_value(const Method& method);
NewModel parse_model(doc::Fields fields);
doc::Value model_value(const NewModel& model);
StopRule parse_stop_rule(doc::Fields& parent);
doc::Value stop_rule_value(const StopRule& rule);

Generate parse_generate(doc::Fields fields, const doc::Source& source);
doc::Value generate_value(const Generate& generate);

Command parse_command(doc::Fields fields, const doc::Source& source);
doc::Value command_value(const Command& command);

}  // namespace volt::schema
