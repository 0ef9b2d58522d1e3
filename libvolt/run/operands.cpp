// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/operands.hpp"

#include <algorithm>

#include "libvolt/base/text.hpp"
#include "libvolt/crypto/digest.hpp"
#include "libvolt/doc/fields.hpp"
#include "libvolt/tensor/npy.hpp"
#include "libvolt/tensor/safetensors.hpp"

namespace volt::run {
namespace {

using doc::Fields;
using doc::Source;
using doc::Value;

const Source source{"task", Exit::failure};

tensor::Located located_in(ByteView file, const std::string& origin, std::string_view wanted) {
  if (as_text(file).starts_with("\x93NUMPY")) {
    if (!wanted.empty()) {
      throw Error(Exit::usage, origin + " is a .npy file, which has no tensor " + printable(wanted),
                  "leave out tensor, or name a .safetensors file");
    }
    return tensor::parse_npy(file, origin);
  }
  const auto tensors = tensor::parse_safetensors(file, origin);
  if (wanted.empty() && tensors.size() == 1) return tensors.front().second;
  std::vector<std::string_view> names;
  for (const auto& [name, located] : tensors) {
    if (name == wanted) return located;
    names.push_back(name);
  }
  if (wanted.empty()) {
    throw Error(Exit::usage,
                origin + " has " + std::to_string(tensors.size()) + " tensors, and none is named",
                "write { path = \"...\", tensor = \"NAME\" }");
  }
  throw Error(Exit::not_found, origin + " has no tensor \"" + printable(wanted) + "\"",
              suggestion(wanted, names));
}

device::Wanted wanted_device(const Value& request) {
  Fields fields(request, source);
  Fields members = fields.table("device");
  device::Wanted wanted;
  wanted.device = members.string("name");
  wanted.threads = static_cast<unsigned>(members.integer("threads", 0, 4096));
  wanted.memory_bytes = static_cast<std::uint64_t>(members.integer("memory", 0, INT64_MAX));
  return wanted;
}

schema::Job parse(const Value& request) {
  return schema::parse_job(Fields(request, source).get("job"), source, "job");
}

}  // namespace

void Operand::read(int fd, Trust trust) {
  if (trust == Trust::copied) {
    copy_ = host::read_whole(fd);
    sha256_ = crypto::sha256(copy_);
  } else {
    mapping_ = host::Mapping(fd);
  }
}

ByteView Operand::file() const {
  return mapping_.bytes().empty() ? ByteView(copy_) : mapping_.bytes();
}

ByteView Operand::elements() const {
  return file().subspan(located_.offset, located_.description.bytes());
}

Operand Operand::from_file(int fd, std::string_view name, std::string_view wanted, Trust trust) {
  Operand operand;
  operand.read(fd, trust);
  operand.located_ = located_in(operand.file(), "input " + std::string(name), wanted);
  operand.align();
  return operand;
}

Operand Operand::from_output(int fd, std::string_view name, Trust trust) {
  Operand operand;
  operand.read(fd, trust);
  try {
    operand.located_ = tensor::parse_npy(operand.file(), printable(name));
  } catch (const Error& error) {
    throw Error(Exit::verification_failed, error.message(), error.hint());
  }
  operand.align();
  return operand;
}

void Operand::align() {
  // Files may place tensors anywhere; kernels read elements where the processor likes them.
  if (located_.offset % tensor::size_of(description().dtype) == 0) return;
  const ByteView all = elements();
  copy_ = Bytes(all.begin(), all.end());
  mapping_ = host::Mapping();
  located_.offset = 0;
}

Operand Operand::from_seed(const schema::Matmul& job, const schema::Seeded& seeded,
                           std::string_view name, device::Device& device) {
  Operand operand;
  operand.located_.description = workload::seeded_description(job, seeded);
  operand.copy_ = workload::generate(seeded, operand.description().dtype, name, device);
  return operand;
}

Bench::Bench(const Request& request, Sink& sink)
    : job_(parse(request.value)), device_(wanted_device(request.value)), sink_(sink) {}

Operand Bench::operand(const Request& request, std::string_view name, Operand::Trust trust) {
  for (const auto& [known, input] : job_.inputs()) {
    if (known != name) continue;
    const auto* seeded = input->seeded();
    if (seeded == nullptr)
      return Operand::from_file(request.file(name), name, input->tensor, trust);
    sink_.send(Progress{"making input " + std::string(name), 0, 0, "bytes"});
    return Operand::from_seed(job_.matmul, *seeded, name, device_);
  }
  throw Error(Exit::failure, "the job has no input " + printable(name));
}

std::vector<Digest> Bench::leaves(ByteView bytes, std::string_view what) {
  constexpr std::uint64_t piece = std::uint64_t{64} << 20;  // whole pages, a moment's work
  std::vector<Digest> leaves(tensor::page_count(bytes.size()));
  static_assert(sizeof(Digest) == 32);
  for (std::uint64_t offset = 0; offset < bytes.size(); offset += piece) {
    if (bytes.size() > piece) {
      sink_.send(Progress{"digest of " + std::string(what), offset, bytes.size(), "bytes"});
    }
    const std::uint64_t size = std::min<std::uint64_t>(piece, bytes.size() - offset);
    // A piece at a time: a device with memory of its own copies what it borrows.
    const auto buffer = device_.borrow(bytes.subspan(offset, size));
    device_.call(&kernels::Backend::page_digests, static_cast<const kernels::Buffer*>(buffer.get()),
                 std::uint64_t{0}, size, leaves[offset / tensor::page_bytes].bytes.data());
  }
  return leaves;
}

schema::TensorFacts Bench::facts(const Operand& operand, std::string_view what) {
  return {operand.description(),
          tensor::pages_root(operand.description(), leaves(operand.elements(), what))};
}

Value::Object to_members(std::string_view name, const schema::TensorFacts& facts) {
  Value::Array shape(facts.description.shape.begin(), facts.description.shape.end());
  return {{"name", name},
          {"dtype", tensor::name_of(facts.description.dtype)},
          {"shape", std::move(shape)},
          {"pages", facts.pages.hex()}};
}

schema::TensorFacts facts_of(const Value& members) {
  Fields fields(members, source);
  schema::TensorFacts facts;
  const auto dtype = tensor::dtype_of(fields.string("dtype"));
  if (!dtype) fields.fail("dtype", fields.get("dtype"), "is no element type");
  facts.description.dtype = *dtype;
  for (const auto& extent : fields.array("shape")) {
    const auto* count = extent.get_if<std::int64_t>();
    if (count == nullptr || *count < 0) fields.fail("shape", extent, "is no shape");
    facts.description.shape.push_back(static_cast<std::uint64_t>(*count));
  }
  tensor::check(facts.description, "worker");
  facts.pages = fields.digest("pages");
  return facts;
}

}  // namespace volt::run
