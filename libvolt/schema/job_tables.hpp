// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "libvolt/schema/job.hpp"

/// The tables that a job is made of, each with its reader and its writer. Only parse_job() and
/// to_value() call them.
namespace volt::schema {

/// The input that a member is; absent: one that is to be bound by the person.
Input parse_input(doc::Fields& parent, const doc::Source& source, std::string_view key);
doc::Value input_value(const Input& input);

Matmul parse_matmul(doc::Fields fields, const doc::Source& source);
doc::Value matmul_value(const Matmul& matmul);

Finetune parse_finetune(doc::Fields fields, const doc::Source& source);
doc::Value finetune_value(const Finetune& finetune);

Command parse_command(doc::Fields fields, const doc::Source& source);
doc::Value command_value(const Command& command);

}  // namespace volt::schema
