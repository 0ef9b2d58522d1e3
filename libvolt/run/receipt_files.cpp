// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/receipt_files.hpp"

#include "libvolt/base/text.hpp"
#include "libvolt/crypto/digest.hpp"
#include "libvolt/doc/read.hpp"

namespace volt::run {
namespace {

const doc::Source source{"job.json", Exit::verification_failed};

using host::shown;

/// Where a run folder's own notes say that an input lay. A stranger may have written them: they are
/// only a place to look, and what is found there must have the right length and digest.
std::optional<host::Path> hint(const host::Path& folder, std::string_view name) {
  try {
    const auto text = host::read_file(folder / "run.json", schema::max_document_bytes);
    const doc::Value run = doc::parse_json(text, "run.json");
    const doc::Value* inputs = run.find("inputs");
    const doc::Value* input = inputs == nullptr ? nullptr : inputs->find(name);
    const doc::Value* path = input == nullptr ? nullptr : input->find("path");
    const auto* where = path == nullptr ? nullptr : path->get_if<std::string>();
    if (where != nullptr && !host::is_folder(*where)) return *where;
  } catch (const Error&) {
    // Nothing depends on run.json.
  }
  return std::nullopt;
}

/// The input of a job that a record is of, and where below it, when that is a folder.
std::pair<const schema::Input*, std::string> input_of(const schema::Job& job,
                                                      std::string_view name) {
  for (const auto& [known, input] : job.inputs()) {
    if (known == name) return {input, {}};
    const auto folder = std::string(known) + "/";
    if (name.starts_with(folder)) return {input, std::string(name.substr(folder.size()))};
  }
  return {nullptr, {}};
}

}  // namespace

Loaded load_receipt(const host::Path& path) {
  const bool is_folder = host::is_folder(path);
  const auto receipt_path = is_folder ? path / "receipt.json" : path;
  if (is_folder && !host::exists(receipt_path)) {
    const bool begun = host::exists(path / ".volt");
    throw Error(Exit::not_found, shown(path) + " has no receipt.json",
                begun ? "the run is not complete: give the same gpu-run command again" : "");
  }
  return {
      is_folder ? path : path.parent_path(),
      schema::open_receipt(host::read_file(receipt_path, schema::max_document_bytes, source.code),
                           shown(receipt_path))};
}

schema::Job load_resolved_job(const Loaded& loaded) {
  const auto path = loaded.folder / "job.json";
  if (!host::exists(path)) {
    throw Error(Exit::not_found, "job.json does not lie beside the receipt",
                "copy it from the run folder");
  }
  const std::string text = host::read_file(path, schema::max_document_bytes, source.code);
  if (crypto::sha256(as_bytes(text)) != loaded.receipt.receipt.job) {
    throw Error(Exit::verification_failed, "job.json is not the job that the receipt names");
  }
  auto job = schema::parse_job(
      doc::parse_json(text, "job.json", {schema::max_document_bytes, 16}, source.code), source,
      "job");
  // A default that is not written out could mean something else to another version.
  if (doc::to_canonical_json(schema::to_value(job)) != text) {
    throw Error(source.code, "job.json is not a resolved job in canonical form");
  }
  return job;
}

std::string missing_text(const InputFiles& files) {
  return files.missing.size() == 1
             ? "input " + files.missing.front() + " was not found by its digest"
             : "inputs " + join(files.missing, ", ") + " were not found by their digests";
}

InputFiles find_inputs(const Loaded& loaded, const schema::Job& job, inputs::Places places,
                       Sink& sink, std::stop_token stop) {
  InputFiles files;
  const auto given = places.candidates;
  for (const auto& path : given) {
    if (host::exists(path)) continue;
    const bool named = path.string().find('=') != std::string::npos;
    throw Error(Exit::not_found, "there is no " + shown(path),
                named ? "--inputs takes paths alone: inputs are found by their digests" : "");
  }
  for (const auto& record : loaded.receipt.receipt.inputs) {
    const auto [input, below] = input_of(job, record.name);
    if (input == nullptr || !record.sha256) continue;
    places.candidates = given;
    for (const auto& folder : given) places.candidates.push_back(folder / record.name);
    if (const auto* file = std::get_if<schema::File>(&input->from); file && !file->path.empty()) {
      const auto path = below.empty() ? host::Path(file->path) : host::Path(file->path) / below;
      places.candidates.push_back(loaded.folder / path);
      places.candidates.push_back(loaded.folder / ".." / path);
    }
    places.candidates.push_back(loaded.folder);
    if (auto noted = hint(loaded.folder, record.name)) {
      places.candidates.push_back(std::move(*noted));
    }
    auto found = inputs::find_by_digest(record.name, *record.sha256, record.bytes, places,
                                        std::get_if<schema::Url>(&input->from), sink, stop);
    if (found) {
      files.found.push_back(std::move(*found));
    } else {
      files.missing.push_back(record.name);
    }
  }
  return files;
}

}  // namespace volt::run
