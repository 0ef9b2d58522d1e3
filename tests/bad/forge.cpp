// SPDX-License-Identifier: Apache-2.0
#include "forge.hpp"

#include <cstdio>
#include <cstring>

#include "libvolt/base/error.hpp"
#include "libvolt/crypto/digest.hpp"
#include "libvolt/crypto/merkle.hpp"
#include "libvolt/doc/read.hpp"
#include "libvolt/tensor/npy.hpp"

namespace volt::forge {
namespace {

constexpr std::uint64_t max_bytes = std::uint64_t{64} << 20;

Digest root_of(const tensor::Description& description, ByteView elements) {
  std::vector<Digest> leaves;
  for (std::size_t at = 0; at < elements.size(); at += tensor::page_bytes) {
    leaves.push_back(crypto::leaf_digest(
        elements.subspan(at, std::min<std::size_t>(tensor::page_bytes, elements.size() - at))));
  }
  return tensor::pages_root(description, leaves);
}

Bytes joined(std::string_view head, ByteView rest) {
  Bytes bytes(head.begin(), head.end());
  bytes.insert(bytes.end(), rest.begin(), rest.end());
  return bytes;
}

}  // namespace

std::string replaced(std::string_view text, std::string_view old, std::string_view fresh) {
  const auto at = text.find(old);
  if (at == std::string_view::npos || text.find(old, at + 1) != std::string_view::npos) {
    throw Error(Exit::failure, "\"" + std::string(old) + "\" is not there exactly once");
  }
  std::string result(text);
  return result.replace(at, old.size(), fresh);
}

std::vector<float> floats(ByteView bytes) {
  std::vector<float> values(bytes.size() / 4);
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), 4 * values.size());
  return values;
}

Bytes bytes_of(const std::vector<float>& values) {
  Bytes bytes(4 * values.size());
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

std::vector<float> hankel(std::uint64_t rows, std::uint64_t cols) {
  std::vector<float> values(rows * cols);
  for (std::uint64_t i = 0; i < rows; ++i) {
    for (std::uint64_t j = 0; j < cols; ++j) {
      values[i * cols + j] = static_cast<float>((i + j) * 2654435761u % 4096) / 2048 - 1;
    }
  }
  return values;
}

Forger::Forger(crypto::SigningKey own_key, host::Path folder, std::vector<std::string> arguments)
    : key(std::move(own_key)),
      from(std::move(folder)),
      device({"cpu", 1, 0}),
      arguments_(std::move(arguments)) {
  good = crypto::Envelope::parse(text("receipt.json"), "receipt.json");
  receipt = schema::parse_receipt(good.payload, "receipt.json");
  receipt.signer = key.public_key().der();
  const auto job_value = doc::parse_json(text("job.json"), "job.json");
  job = schema::parse_job(job_value, {"job.json"}, "job");
  geometry = workload::geometry(job.matmul, receipt.input("a")->tensor->description,
                                receipt.input("b")->tensor->description);
  a = elements_of("a", job.matmul.a);
  b = elements_of("b", job.matmul.b);
  const Bytes output = file(job.matmul.out);
  const auto located = tensor::parse_npy(output, job.matmul.out);
  c.assign(output.begin() + static_cast<std::ptrdiff_t>(located.offset), output.end());
}

Bytes Forger::elements_of(std::string_view name, const schema::Input& input) {
  if (const auto* seeded = input.seeded()) {
    return workload::generate(*seeded, geometry.input_dtype(), name, device);
  }
  const auto* in_job = std::get_if<schema::File>(&input.from);
  const auto* of_run = std::get_if<schema::RunOutput>(&input.from);
  if (in_job == nullptr && of_run == nullptr) {
    throw Error(Exit::failure, "the forger knows no such input");
  }
  const host::Path path =
      in_job != nullptr ? from / ".." / in_job->path : from / ".." / of_run->folder / of_run->file;
  const std::string bytes = host::read_file(path, max_bytes);
  const auto located = tensor::parse_npy(as_bytes(bytes), name);
  const ByteView elements = as_bytes(bytes).subspan(located.offset);
  return {elements.begin(), elements.end()};
}

std::string Forger::text(const std::string& name) const {
  return host::read_file(from / name, max_bytes);
}

Bytes Forger::file(const std::string& name) const {
  const std::string bytes = text(name);
  return {bytes.begin(), bytes.end()};
}

void Forger::set_output(Bytes elements) {
  auto& record = receipt.outputs.front();
  c = std::move(elements);
  record.tensor->pages = root_of(record.tensor->description, c);
  receipt.trace_root = record.tensor->pages;
  set_output_file(joined(tensor::npy_header(record.tensor->description), c));
  if (job.matmul.image.empty()) return;
  const std::string picture = workload::graymap(geometry, c);
  files[job.matmul.image] = Bytes(picture.begin(), picture.end());
  receipt.outputs.back().sha256 = crypto::sha256(as_bytes(picture));
}

void Forger::set_output_file(Bytes bytes) {
  auto& record = receipt.outputs.front();
  record.sha256 = crypto::sha256(bytes);
  record.bytes = bytes.size();
  files[record.name] = std::move(bytes);
}

void Forger::set_input(std::string_view name, const std::vector<float>& elements) {
  (name == "a" ? a : b) = bytes_of(elements);
  for (auto& record : receipt.inputs) {
    if (record.name != name) continue;
    record.tensor->pages = root_of(record.tensor->description, bytes_of(elements));
    if (record.seed) return;
    Bytes bytes = joined(tensor::npy_header(record.tensor->description), bytes_of(elements));
    record.sha256 = crypto::sha256(bytes);
    record.bytes = bytes.size();
    files[std::string(name) + ".npy"] = std::move(bytes);
  }
}

void Forger::set_job(std::string fresh) {
  receipt.job = crypto::sha256(as_bytes(fresh));
  files["job.json"] = Bytes(fresh.begin(), fresh.end());
}

void Forger::set_job(const schema::Job& changed) {
  set_job(doc::to_canonical_json(schema::to_value(changed)));
}

void Forger::edit_payload(std::string_view old, std::string_view fresh) {
  payload = replaced(payload_text(), old, fresh);
}

void Forger::edit_job(std::string_view old, std::string_view fresh) {
  set_job(replaced(text("job.json"), old, fresh));
}

void Forger::edit_envelope(std::string_view old, std::string_view fresh) {
  envelope = replaced(envelope_text(), old, fresh);
}

void Forger::keep_signature() {
  crypto::Envelope edited = good;
  receipt.signer = schema::parse_receipt(good.payload, "receipt.json").signer;
  edited.payload = payload_text();
  unsigned_edit = std::move(edited);
}

Bytes Forger::product() {
  Bytes out(4 * geometry.units());
  workload::Product(geometry, a, b, device).tile(0, geometry.m, 0, geometry.n, out.data());
  return out;
}

std::string Forger::payload_text() const {
  return payload ? *payload : schema::to_payload(receipt);
}

std::string Forger::envelope_text() const {
  if (envelope) return *envelope;
  if (unsigned_edit) return unsigned_edit->json() + "\n";
  crypto::Envelope fresh{std::string(crypto::in_toto_payload), payload_text(), {}};
  fresh.sign(key);
  return fresh.json() + "\n";
}

void Forger::write(const host::Path& to) const {
  host::remove_tree(to);
  std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
  for (const auto& [name, bytes] : files) {
    host::remove_tree(to / name);
    if (bytes) host::write_file(to / name, as_text(*bytes));
  }
  host::write_file(to / "receipt.json", envelope_text());
}

namespace {

template <class Entry>
const Entry* named(std::span<const Entry> entries, std::string_view name) {
  for (const auto& entry : entries) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

crypto::SigningKey key_in(const host::Path& path) {
  if (!std::filesystem::exists(path)) {
    host::write_file(path, crypto::SigningKey::make().pem(), 0600);
  }
  return crypto::SigningKey::from_pem(host::read_file(path, 16'384));
}

/// forge KEY NAME RUN OUT [ARGUMENT...]
void perform(const std::vector<std::string>& words) {
  if (words.size() < 4) throw Error(Exit::usage, "usage: forge KEY NAME RUN OUT [ARGUMENT...]");
  Forger forger(key_in(words[0]), words[2], {words.begin() + 4, words.end()});
  if (const auto* proof = named(proofs(), words[1])) {
    host::write_file(words[3], proof->forge(forger));
    return;
  }
  for (const auto list : {outputs(), receipts(), documents()}) {
    if (const auto* forgery = named(list, words[1])) {
      forgery->forge(forger);
      return forger.write(words[3]);
    }
  }
  throw Error(Exit::usage, "no forgery is called " + words[1]);
}

}  // namespace
}  // namespace volt::forge

int main(int argc, char** argv) {
  try {
    volt::forge::perform({argv + 1, argv + argc});
    return 0;
  } catch (const volt::Error& error) {
    std::fprintf(stderr, "forge: %s\n", error.text().c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "forge: %s\n", error.what());
  }
  return 1;
}
