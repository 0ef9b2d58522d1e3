// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

#include "libvolt/base/error.hpp"
#include "libvolt/crypto/digest.hpp"
#include "libvolt/doc/read.hpp"
#include "libvolt/inputs/inputs.hpp"
#include "tests/libvolt/host/temp_folder.hpp"

/// Answers from memory; what it does not know is 404.
struct FakeHttp final : volt::net::Http {
  std::map<std::string, std::string> pages;
  int calls = 0;

  volt::net::Response get(const volt::net::Request& request,
                          const std::function<void(volt::ByteView)>& body, volt::Sink&,
                          std::stop_token) override {
    ++calls;
    const auto page = pages.find(request.url);
    volt::net::Response response;
    response.status = page == pages.end() ? 404 : 200;
    if (page == pages.end()) return response;
    const auto bytes = volt::as_bytes(page->second);
    body(bytes.first(bytes.size() / 2));
    body(bytes.subspan(bytes.size() / 2));
    return response;
  }
};

inline std::string hex_of(std::string_view text) {
  return volt::crypto::sha256(volt::as_bytes(text)).hex();
}

/// A job's folder and a cache, both temporary.
struct Inputs {
  TempFolder jobs, cache;
  FakeHttp http;
  volt::NullSink sink;
  volt::inputs::Places places;

  Inputs() {
    places.job_folder = jobs.path();
    places.cache = cache / "volt";
    places.http = &http;
  }

  static std::string toml(const std::string& members) {
    return "schema = \"volt.job/1\"\nworkload = \"matmul\"\n[matmul]\n" + members + "\n";
  }
  static volt::schema::Job job_of(const std::string& text) {
    return volt::schema::parse_job(volt::doc::parse_toml(text, "job.toml"),
                                   {"job.toml", volt::Exit::usage}, "job");
  }
  std::vector<volt::inputs::Found> find(const std::string& members) {
    return volt::inputs::find(job_of(toml(members)), places, sink, {});
  }
  static std::string content(const volt::inputs::Found& found) {
    std::string text(found.stamp.bytes, '\0');
    volt::host::read_at(found.fd.get(), 0, reinterpret_cast<std::uint8_t*>(text.data()),
                        text.size());
    return text;
  }
  std::filesystem::path cached(std::string_view text) const {
    const std::string hex = hex_of(text);
    return places.cache / "sha256" / hex.substr(0, 2) / hex;
  }
};
