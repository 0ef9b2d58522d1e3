// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "libvolt/crypto/digest.hpp"
#include "libvolt/crypto/dsse.hpp"
#include "libvolt/schema/receipt.hpp"

/// A digest that is easily told from others.
inline volt::Digest digest_of(const std::string& text) {
  return volt::crypto::sha256(volt::as_bytes(text));
}

/// A receipt with every kind of entry in it.
inline volt::schema::Receipt sample_receipt(const volt::crypto::PublicKey& signer) {
  using volt::tensor::Dtype;
  volt::schema::Receipt r;
  r.outputs.push_back({"c.npy", digest_of("c"), 4224, {}});
  r.outputs.back().tensor = volt::schema::TensorFacts{{Dtype::f32, {32, 32}}, digest_of("pages c")};
  r.outputs.push_back({"c.pgm", digest_of("pgm"), 1037, {}});
  volt::schema::InputRecord a, b;
  a.name = "a";
  a.tensor = {{Dtype::f32, {32, 7}}, digest_of("pages a")};
  a.seed = 7;
  b.name = "b";
  b.tensor = {{Dtype::f32, {7, 32}}, digest_of("pages b")};
  b.sha256 = digest_of("b");
  b.bytes = 1024;
  b.receipt = digest_of("receipt of b");
  r.inputs = {a, b};
  r.job = digest_of("job");
  r.workload = "matmul/1";
  r.profile = "f32x/1";
  r.trace_root = digest_of("pages c");
  r.units = 1024;
  r.attempt = 2;
  r.retention_s = 604'800;
  r.started = "2026-11-20T09:57:00Z";
  r.ended = "2026-11-20T09:57:02Z";
  r.elapsed_ns = 2'000'000'001;
  r.peak_memory_bytes = 12'345'678;
  r.backend = "cpu";
  r.device = "AMD EPYC 9354P";
  r.driver = "linux 6.1.0";
  r.tool = "gpu-run 0.1.0";
  r.signer = signer.der();
  return r;
}

/// The envelope of `payload`, signed.
inline std::string envelope_of(const std::string& payload, const volt::crypto::SigningKey& key) {
  volt::crypto::Envelope envelope{std::string(volt::crypto::in_toto_payload), payload, {}};
  envelope.sign(key);
  return envelope.json();
}
