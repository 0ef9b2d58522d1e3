// SPDX-License-Identifier: Apache-2.0
#include "forge.hpp"
#include "libvolt/doc/read.hpp"

namespace volt::forge {
namespace {

/// Deeper than any document of volt, as a member of its outermost object.
std::string deep(std::string_view document) {
  const std::string open(100, '['), close(100, ']');
  return "{\"deep\":" + open + close + "," + std::string(document.substr(1));
}

/// More than the megabyte that is read of a document, but nothing wrong with it otherwise.
std::string long_text() { return std::string(std::size_t{2} << 20, ' '); }

std::string member(std::string_view document, std::string_view text) {
  return "{" + std::string(text) + "," + std::string(document.substr(1));
}

/// A forgery of the payload's text, signed as it stands.
template <class Edit>
auto payload(const Edit& edit) {
  return [edit](Forger& f) { f.payload = edit(f.payload_text()); };
}

/// A forgery of the envelope's text, its signature being right.
template <class Edit>
auto envelope(const Edit& edit) {
  return [edit](Forger& f) { f.envelope = edit(f.envelope_text()); };
}

/// A forgery of job.json, which the receipt names by its true digest.
template <class Edit>
auto job(const Edit& edit) {
  return [edit](Forger& f) { f.set_job(edit(f.text("job.json"))); };
}

auto in_payload(std::string_view old, std::string_view fresh) {
  return [old, fresh](Forger& f) { f.edit_payload(old, fresh); };
}

std::string truncated(const std::string& text) { return text.substr(0, text.size() / 2); }
std::string trailing(const std::string& text) { return text + "{}"; }

/// Adds a digest of a file to an input that is made from a seed.
void seed_and_digest(Forger& f) {
  const std::string pages = "\"volt-pages\":\"" + f.receipt.inputs[0].tensor->pages.hex() + "\"";
  f.edit_payload(pages, "\"sha256\":\"" + f.receipt.job.hex() + "\"," + pages);
}

/// The padding bits of base64 that decode to nothing.
void loose_base64(Forger& f) {
  while (f.payload_text().size() % 3 == 0) f.receipt.tool += "x";  // or there is no padding
  auto text = f.envelope_text();
  const auto end = text.find("=\"");
  const auto at = text.find_last_not_of('=', end);
  ++text.at(at);
  f.envelope = text;
}

void many_signatures(Forger& f) {
  const auto text = f.envelope_text();
  const auto begin = text.find("[{"), end = text.find("}]");
  const std::string entry = text.substr(begin + 1, end - begin);
  std::string list = entry;
  for (int i = 0; i < 16; ++i) list += "," + entry;
  f.envelope = replaced(text, entry, list);
}

/// Another signed document of volt, in the place of a receipt.
void challenge_as_receipt(Forger& f) {
  f.envelope = host::read_file(f.argument(0), schema::max_document_bytes);
}

/// run.json is read to find inputs again: what if it leads elsewhere?
void notes(Forger& f, const std::string& text) {
  f.files["run.json"] = Bytes(text.begin(), text.end());
}

const Forgery entries[] = {
    {"notes-hostile",
     [](Forger& f) { notes(f, R"({"inputs":{"a":"/dev/zero","b":"/","c":1,"d":""}})"); }},
    {"notes-deep", [](Forger& f) { notes(f, deep("{}")); }},
    {"payload-spaced", payload([](const std::string& text) { return text + " "; })},
    {"payload-other-order", payload([](const std::string& text) {
       const std::string type = "\"_type\":\"https://in-toto.io/Statement/v1\",";
       const auto without = replaced(text, type, "");
       return without.substr(0, without.size() - 1) + "," + type.substr(0, type.size() - 1) + "}";
     })},
    {"payload-twice", payload([](const std::string& text) {
       return member(text, "\"_type\":\"https://in-toto.io/Statement/v1\"");
     })},
    {"payload-deep", payload(deep)},
    {"payload-long", payload([](const std::string& text) { return text + long_text(); })},
    {"payload-truncated", payload(truncated)},
    {"payload-trailing", payload(trailing)},
    {"payload-empty", payload([](const std::string&) { return std::string(); })},
    {"payload-nul", payload([](const std::string& text) { return text + '\0'; })},
    {"payload-not-utf8", in_payload("\"sandbox\":\"none\"", "\"sandbox\":\"\xff\"")},
    {"payload-unknown-member", in_payload("\"attempt\":", "\"a_checked\":true,\"attempt\":")},
    {"payload-not-required",
     [](Forger& f) {
       const std::string units = "\"units\":" + std::to_string(f.receipt.units);
       f.edit_payload(units, units + ",\"z_not_required\":[1]");
     }},
    {"payload-escape", in_payload("\"attempt\":", "\"a\\u001b[31m\":1,\"attempt\":")},
    {"payload-real-units",
     [](Forger& f) {
       const std::string units = "\"units\":" + std::to_string(f.receipt.units);
       f.edit_payload(units, units + ".5");
     }},
    {"payload-huge-units",
     [](Forger& f) {
       f.edit_payload("\"units\":" + std::to_string(f.receipt.units), "\"units\":9007199254740993");
     }},
    {"payload-not-hex",
     [](Forger& f) {
       const std::string root = "\"root\":\"" + f.receipt.trace_root.hex();
       f.edit_payload(root, root.substr(0, root.size() - 1) + "G");
     }},
    {"payload-other-schema", in_payload("volt.receipt/1", "volt.receipt/2")},
    {"payload-other-predicate", in_payload("urn:volt:receipt/1", "urn:volt:other/1")},
    {"payload-other-statement", in_payload("Statement/v1", "Statement/v0.1")},
    {"seed-and-digest", seed_and_digest},

    {"envelope-truncated", envelope(truncated)},
    {"envelope-trailing", envelope(trailing)},
    {"envelope-empty", envelope([](const std::string&) { return std::string(); })},
    {"envelope-twice", envelope([](const std::string& text) {
       return member(text, "\"payloadType\":\"application/vnd.in-toto+json\"");
     })},
    {"envelope-deep", envelope(deep)},
    {"envelope-long", envelope([](const std::string& text) { return text + long_text(); })},
    {"envelope-unknown-member",
     envelope([](const std::string& text) { return member(text, "\"checked\":true"); })},
    {"envelope-other-type",
     [](Forger& f) { f.edit_envelope("vnd.in-toto+json", "vnd.in-toto.bundle+json"); }},
    {"envelope-loose-base64", loose_base64},
    {"envelope-unsigned",
     envelope([](const std::string& text) { return text.substr(0, text.find("[{")) + "[]}"; })},
    {"envelope-many-signatures", many_signatures},
    {"challenge-as-receipt", challenge_as_receipt},

    {"job-spaced", job([](const std::string& text) { return text + "\n"; })},
    {"job-unresolved", [](Forger& f) { f.edit_job("\"profile\":\"f32x\",", ""); }},
    {"job-twice",
     job([](const std::string& text) { return member(text, "\"schema\":\"volt.job/1\""); })},
    {"job-deep", job(deep)},
    {"job-long", job([](const std::string& text) { return text + long_text(); })},
    {"job-truncated", job(truncated)},
    {"job-trailing", job(trailing)},
    {"job-unknown-member",
     job([](const std::string& text) { return member(text, "\"not_required\":[1]"); })},
};

}  // namespace

std::span<const Forgery> documents() { return entries; }

}  // namespace volt::forge
