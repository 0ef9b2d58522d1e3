// SPDX-License-Identifier: Apache-2.0
#include "forge.hpp"
#include "libvolt/base/error.hpp"
#include "libvolt/crypto/digest.hpp"
#include "libvolt/crypto/merkle.hpp"
#include "libvolt/doc/read.hpp"

namespace volt::forge {
namespace {

/// Changes a fact of the receipt; everything else stays true and is signed.
template <class Change>
auto stating(const Change& change) {
  return [change](Forger& f) { change(f.receipt); };
}

/// Changes the job; the receipt names the changed one, whatever else it says.
template <class Change>
auto of_job(const Change& change) {
  return [change](Forger& f) {
    schema::Job job = f.job;
    change(job);
    f.set_job(job);
  };
}

/// The same change under the signature of the good receipt.
template <class Change>
auto unsigned_change(const Change& change) {
  return [change](Forger& f) {
    change(f.receipt);
    f.keep_signature();
  };
}

/// A bit of the payload's first digit that keeps it a digit.
void bit_of_payload(Forger& f) {
  crypto::Envelope edited = f.good;
  const auto at = edited.payload.find_first_of("02468", edited.payload.find("\"root\":\""));
  edited.payload.at(at) = static_cast<char>(edited.payload.at(at) ^ 1);
  f.unsigned_edit = std::move(edited);
}

void bit_of_signature(Forger& f) {
  crypto::Envelope edited = f.good;
  edited.signatures.front().der.back() ^= 1;
  f.unsigned_edit = std::move(edited);
}

void bit_of(Forger& f, const std::string& name, std::size_t from_end) {
  Bytes bytes = f.file(name);
  bytes.at(bytes.size() - from_end) ^= 1;
  f.files[name] = std::move(bytes);
  f.envelope = f.text("receipt.json");
}

/// The signature of another run of the same signer.
void foreign_signature(Forger& f) {
  crypto::Envelope edited = f.good;
  const auto path = host::Path(f.argument(0)) / "receipt.json";
  edited.signatures =
      crypto::Envelope::parse(host::read_file(path, schema::max_document_bytes), "other")
          .signatures;
  f.unsigned_edit = std::move(edited);
}

/// Somebody else is named as the signer.
void foreign_signer(Forger& f) { f.receipt.signer = crypto::SigningKey::make().public_key().der(); }

void leaves_of(const Bytes& elements, std::vector<Digest>& leaves) {
  for (std::size_t at = 0; at < elements.size(); at += tensor::page_bytes) {
    leaves.push_back(crypto::leaf_digest(ByteView(elements).subspan(
        at, std::min<std::size_t>(tensor::page_bytes, elements.size() - at))));
  }
}

void set_root(Forger& f, const Digest& root) {
  f.receipt.outputs.front().tensor->pages = root;
  f.receipt.trace_root = root;
}

/// A tree that fills up odd levels by taking the last node twice, so that two lists have one root.
void duplicated_node(Forger& f) {
  const auto& description = f.receipt.outputs.front().tensor->description;
  std::vector<Digest> level{crypto::leaf_digest(as_bytes(tensor::pages_header(description)))};
  leaves_of(f.c, level);
  if ((level.size() & (level.size() - 1)) == 0) {
    throw Error(Exit::failure, "a tree of this size has no odd level");
  }
  while (level.size() > 1) {
    if (level.size() % 2 != 0) level.push_back(level.back());
    std::vector<Digest> above;
    for (std::size_t i = 0; i < level.size(); i += 2) {
      above.push_back(crypto::node_digest(level[i], level[i + 1]));
    }
    level = std::move(above);
  }
  set_root(f, level.front());
}

/// A tree whose last two leaves were replaced by their node, sold as one leaf.
void node_as_leaf(Forger& f) {
  const auto& description = f.receipt.outputs.front().tensor->description;
  std::vector<Digest> leaves{crypto::leaf_digest(as_bytes(tensor::pages_header(description)))};
  leaves_of(f.c, leaves);
  const Digest last = leaves.back();
  leaves.pop_back();
  leaves.back() = crypto::node_digest(leaves.back(), last);
  set_root(f, crypto::merkle_root(leaves));
}

/// A tree without the marks that tell leaves from nodes.
void unmarked_leaves(Forger& f) {
  std::vector<Digest> leaves;
  for (std::size_t at = 0; at < f.c.size(); at += tensor::page_bytes) {
    leaves.push_back(crypto::sha256(
        ByteView(f.c).subspan(at, std::min<std::size_t>(tensor::page_bytes, f.c.size() - at))));
  }
  set_root(f, tensor::pages_root(f.receipt.outputs.front().tensor->description, leaves));
}

/// The product of other files than the job asks for, with their own true digests.
void other_input(Forger& f) {
  f.set_input("a", hankel(f.geometry.m, f.geometry.k));
  f.set_output(f.product());
}

/// The same, but sold under the digest of the file that the job asks for.
void other_input_relabelled(Forger& f) {
  const auto pinned = f.receipt.inputs.front();
  other_input(f);
  f.receipt.inputs.front().sha256 = pinned.sha256;
  f.receipt.inputs.front().bytes = pinned.bytes;
}

/// A made-up digest of the input's elements, under the right digest of its file.
void input_root(Forger& f) {
  f.receipt.inputs.front().tensor->pages = crypto::sha256(as_bytes("anything"));
}

/// c.npy of the same bytes, said to be integers.
void file_dtype(Forger& f) {
  const std::string text = replaced(f.text(f.job.matmul.out), "<f4", "<i4");
  f.set_output_file(Bytes(text.begin(), text.end()));
}

void file_fortran(Forger& f) {
  const std::string text =
      replaced(f.text(f.job.matmul.out), "'fortran_order': False", "'fortran_order': True ");
  f.set_output_file(Bytes(text.begin(), text.end()));
}

void file_changed(Forger& f, int bytes) {
  Bytes file = f.file(f.job.matmul.out);
  file.resize(static_cast<std::size_t>(static_cast<int>(file.size()) + bytes));
  f.set_output_file(std::move(file));
}

/// The right elements in another format, under a name that ends in .npy.
void file_safetensors(Forger& f) {
  const auto& shape = f.receipt.outputs.front().tensor->description.shape;
  std::string header = doc::to_canonical_json(doc::Value::Object{
      {"c",
       doc::Value::Object{{"dtype", "F32"},
                          {"shape", doc::Value::Array{shape[0], shape[1]}},
                          {"data_offsets", doc::Value::Array{0, std::uint64_t{f.c.size()}}}}}});
  header.resize((header.size() + 7) / 8 * 8, ' ');
  Bytes file(8);
  for (unsigned i = 0; i < 8; ++i) {
    file[i] = static_cast<std::uint8_t>(std::uint64_t{header.size()} >> 8 * i);
  }
  file.insert(file.end(), header.begin(), header.end());
  file.insert(file.end(), f.c.begin(), f.c.end());
  f.set_output_file(std::move(file));
}

/// A picture that is not C's.
void other_image(Forger& f) {
  Bytes picture = f.file(f.job.matmul.image);
  picture.back() ^= 1;
  f.receipt.outputs.back().sha256 = crypto::sha256(picture);
  f.files[f.job.matmul.image] = std::move(picture);
}

const Forgery entries[] = {
    {"same", [](Forger&) {}},
    {"bit-of-output", [](Forger& f) { bit_of(f, f.job.matmul.out, 1); }},
    {"bit-of-job", [](Forger& f) { bit_of(f, "job.json", 2); }},
    {"bit-of-image", [](Forger& f) { bit_of(f, f.job.matmul.image, 1); }},
    {"bit-of-payload", bit_of_payload},
    {"bit-of-signature", bit_of_signature},
    {"foreign-signature", foreign_signature},
    {"foreign-signer", foreign_signer},

    {"edited-job", unsigned_change([](auto& r) { r.job = crypto::sha256(as_bytes("other")); })},
    {"edited-input", unsigned_change([](auto& r) { ++*r.inputs[0].seed; })},
    {"edited-output", unsigned_change([](auto& r) { r.outputs[0].sha256 = r.job; })},
    {"edited-profile", unsigned_change([](auto& r) { r.profile = "i8x/1"; })},
    {"edited-device", unsigned_change([](auto& r) { r.device = "NVIDIA H200"; })},
    {"edited-times", unsigned_change([](auto& r) { r.elapsed_ns *= 2; })},

    {"false-device", stating([](auto& r) {
       r.device = "NVIDIA H200";
       r.backend = "cuda";
       r.driver = "999.99";
     })},
    {"false-times", stating([](auto& r) {
       r.started = "1999-01-01T00:00:00Z";
       r.elapsed_ns = 1;
     })},
    {"second-attempt", stating([](auto& r) { r.attempt = 2; })},

    {"fewer-units", stating([](auto& r) { r.units /= 2; })},
    {"more-units", stating([](auto& r) { r.units *= 2; })},
    {"no-units", stating([](auto& r) { r.units = 0; })},
    {"attempt-zero", stating([](auto& r) { r.attempt = 0; })},
    {"other-trace", stating([](auto& r) { r.trace_root = r.job; })},
    {"other-profile", stating([](auto& r) { r.profile = "i8/1"; })},
    {"other-workload", stating([](auto& r) { r.workload = "generate/1"; })},
    {"other-seed", stating([](auto& r) { ++*r.inputs[0].seed; })},
    {"other-dtype",
     stating([](auto& r) { r.outputs[0].tensor->description.dtype = tensor::Dtype::i32; })},
    {"other-shape", stating([](auto& r) {
       std::swap(r.outputs[0].tensor->description.shape[0],
                 r.outputs[0].tensor->description.shape[1]);
     })},
    {"other-input-shape", stating([](auto& r) { r.inputs[0].tensor->description.shape[0] /= 2; })},
    {"fewer-rows", stating([](auto& r) {
       r.inputs[0].tensor->description.shape[0] /= 2;
       r.outputs[0].tensor->description.shape[0] /= 2;
       r.units /= 2;
     })},
    {"no-input", stating([](auto& r) { r.inputs.pop_back(); })},
    {"third-input", stating([](auto& r) {
       r.inputs.push_back(r.inputs[0]);
       r.inputs.back().name = "c";
     })},
    {"input-twice", stating([](auto& r) { r.inputs[1].name = "a"; })},
    {"no-image", stating([](auto& r) { r.outputs.pop_back(); })},
    {"output-above", stating([](auto& r) { r.outputs[0].name = "../c.npy"; })},
    {"output-hidden", stating([](auto& r) { r.outputs[0].name = ".volt"; })},
    {"no-source-receipt", stating([](auto& r) { r.inputs[0].receipt.reset(); })},

    {"job-other-seed", of_job([](auto& job) {
       auto seeded = *job.matmul.a.seeded();
       ++seeded.seed;
       job.matmul.a.from = seeded;
     })},
    {"job-other-rows", of_job([](auto& job) {
       auto seeded = *job.matmul.a.seeded();
       seeded.shape[0] *= 2;
       job.matmul.a.from = seeded;
     })},
    {"job-other-profile", of_job([](auto& job) { job.matmul.profile = "i8x"; })},
    {"job-transposed", of_job([](auto& job) { job.matmul.transpose_b = true; })},
    {"job-other-out", of_job([](auto& job) { job.matmul.out = "d.npy"; })},
    {"job-needs-l4", of_job([](auto& job) { job.proof.level = "L4"; })},

    {"duplicated-node", duplicated_node},
    {"node-as-leaf", node_as_leaf},
    {"unmarked-leaves", unmarked_leaves},
    {"other-input", other_input},
    {"other-input-relabelled", other_input_relabelled},
    {"hankel-as-seed", other_input},
    {"input-root", input_root},
    {"file-dtype", file_dtype},
    {"file-fortran", file_fortran},
    {"file-truncated", [](Forger& f) { file_changed(f, -1); }},
    {"file-trailing", [](Forger& f) { file_changed(f, 1); }},
    {"file-safetensors", file_safetensors},
    {"file-missing", [](Forger& f) { f.files[f.job.matmul.out] = std::nullopt; }},
    {"job-missing", [](Forger& f) { f.files["job.json"] = std::nullopt; }},
    {"other-image", other_image},
};

}  // namespace

std::span<const Forgery> receipts() { return entries; }

}  // namespace volt::forge
