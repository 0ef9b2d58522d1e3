// SPDX-License-Identifier: Apache-2.0
#include "libvolt/schema/receipt.hpp"

#include <algorithm>
#include <set>

#include "libvolt/crypto/digest.hpp"
#include "libvolt/doc/fields.hpp"
#include "libvolt/doc/read.hpp"
#include "libvolt/schema/job.hpp"

namespace volt::schema {
namespace {

using doc::Fields;
using doc::Source;
using doc::Value;

void add_tensor(Value::Object& members, const TensorFacts& tensor) {
  Value::Array shape(tensor.description.shape.begin(), tensor.description.shape.end());
  members.emplace_back("dtype", tensor::name_of(tensor.description.dtype));
  members.emplace_back("shape", std::move(shape));
}

Value subject_of(const OutputRecord& output) {
  Value::Object digest{{"sha256", output.sha256.hex()}};
  Value::Object annotations{{"bytes", output.bytes}};
  if (output.tensor) {
    digest.emplace_back("volt-pages", output.tensor->pages.hex());
    add_tensor(annotations, *output.tensor);
  }
  return Value::Object{{"name", output.name}, {"digest", digest}, {"annotations", annotations}};
}

Value input_of(const InputRecord& input) {
  Value::Object digest;
  Value::Object members{{"name", input.name}};
  if (input.tensor) digest.emplace_back("volt-pages", input.tensor->pages.hex());
  if (input.sha256) {
    digest.emplace_back("sha256", input.sha256->hex());
    members.emplace_back("bytes", input.bytes);
  }
  members.emplace_back("digest", std::move(digest));
  if (input.tensor) add_tensor(members, *input.tensor);
  if (input.seed) members.emplace_back("seed", *input.seed);
  if (input.receipt) members.emplace_back("receipt", input.receipt->hex());
  return members;
}

std::uint64_t count_of(Fields& fields, std::string_view key) {
  return static_cast<std::uint64_t>(fields.integer(key, 0, max_integer));
}

tensor::Description description_of(Fields& fields) {
  tensor::Description description;
  const auto dtype = tensor::dtype_of(fields.string("dtype"));
  if (!dtype) fields.fail("dtype", fields.get("dtype"), "is no element type");
  description.dtype = *dtype;
  for (const auto& extent : fields.array("shape")) {
    const auto* count = extent.get_if<std::int64_t>();
    if (count == nullptr || *count < 0 || description.shape.size() == 8) {
      fields.fail("shape", extent, "is no shape");
    }
    description.shape.push_back(static_cast<std::uint64_t>(*count));
  }
  try {
    tensor::check(description, fields.path());
  } catch (const Error& error) {
    fields.fail("shape", fields.get("shape"), "is no shape: " + error.message());
  }
  return description;
}

OutputRecord parse_subject(const Value& value, const Source& source, const std::string& path) {
  Fields fields(value, source, path);
  OutputRecord output;
  output.name = fields.string("name");
  if (const auto why = why_no_output(output.name); !why.empty()) {
    fields.fail("name", fields.get("name"), why);
  }
  Fields digest = fields.table("digest");
  Fields annotations = fields.table("annotations");
  output.sha256 = digest.digest("sha256");
  output.bytes = count_of(annotations, "bytes");
  if (digest.has("volt-pages")) {
    output.tensor = TensorFacts{description_of(annotations), digest.digest("volt-pages")};
  }
  digest.refuse_others();
  annotations.refuse_others();
  fields.refuse_others();
  return output;
}

InputRecord parse_input_record(const Value& value, const Source& source, const std::string& path) {
  Fields fields(value, source, path);
  InputRecord input;
  input.name = fields.string("name");
  // Whoever runs a command again puts its inputs under these names.
  if (!is_plain_path(input.name)) fields.fail("name", fields.get("name"), "is no plain name");
  Fields digest = fields.table("digest");
  if (digest.has("volt-pages")) {
    input.tensor = TensorFacts{description_of(fields), digest.digest("volt-pages")};
  }
  if (input.tensor && fields.has("seed")) {
    input.seed = static_cast<std::uint64_t>(fields.integer("seed", 0, max_integer));
  } else {
    input.sha256 = digest.digest("sha256");
    input.bytes = count_of(fields, "bytes");
  }
  if (fields.has("receipt")) input.receipt = fields.digest("receipt");
  digest.refuse_others();
  fields.refuse_others();
  return input;
}

const Value::Array& entries(Fields& fields, std::string_view key) {
  const auto& array = fields.array(key);
  if (array.size() > max_entries) {
    fields.fail(key, fields.get(key), "has more than 1024 entries");
  }
  return array;
}

template <class Record>
void refuse_same_names(const std::vector<Record>& records, const Fields& fields,
                       std::string_view key, const Value& value) {
  std::set<std::string_view> names;
  for (const auto& record : records) {
    if (!names.insert(record.name).second) fields.fail(key, value, "names one thing twice");
  }
}

template <class Record>
const Record* named(const std::vector<Record>& records, std::string_view name) {
  const auto found = std::find_if(records.begin(), records.end(),
                                  [&](const Record& record) { return record.name == name; });
  return found == records.end() ? nullptr : &*found;
}

void parse_predicate(Fields fields, const Source& source, Receipt& receipt) {
  const auto& schema = fields.string("schema");
  if (schema != receipt_schema) {
    fields.fail("schema", fields.get("schema"), "is not \"volt.receipt/1\"",
                "a receipt made by a newer volt needs a newer gpu-verify");
  }
  Fields job = fields.table("job");
  receipt.job = job.digest("sha256");
  job.refuse_others();
  const auto& inputs = entries(fields, "inputs");
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    receipt.inputs.push_back(
        parse_input_record(inputs[i], source, "predicate.inputs[" + std::to_string(i) + "]"));
  }
  refuse_same_names(receipt.inputs, fields, "inputs", fields.get("inputs"));
  receipt.workload = fields.string("workload");
  receipt.profile = fields.string("profile");
  Fields trace = fields.table("trace");
  receipt.trace_root = trace.digest("root");
  receipt.units = count_of(trace, "units");
  trace.refuse_others();
  receipt.attempt = count_of(fields, "attempt");
  receipt.retention_s = count_of(fields, "retention_s");
  receipt.started = fields.string("started");
  receipt.ended = fields.string("ended");
  receipt.elapsed_ns = count_of(fields, "elapsed_ns");
  receipt.peak_memory_bytes = count_of(fields, "peak_memory_bytes");
  Fields device = fields.table("device");
  receipt.backend = device.string("backend");
  receipt.device = device.string("name");
  receipt.driver = device.string("driver");
  device.refuse_others();
  receipt.sandbox = fields.string("sandbox");
  receipt.tool = fields.string("tool");
  const auto der = crypto::from_base64(fields.string("signer"));
  if (!der) fields.fail("signer", fields.get("signer"), "is not base64");
  receipt.signer = *der;
  fields.refuse_others();
}

}  // namespace

const OutputRecord* Receipt::output(std::string_view name) const { return named(outputs, name); }
const InputRecord* Receipt::input(std::string_view name) const { return named(inputs, name); }

std::string to_payload(const Receipt& receipt) {
  Value::Array subject, inputs;
  for (const auto& output : receipt.outputs) subject.push_back(subject_of(output));
  for (const auto& input : receipt.inputs) inputs.push_back(input_of(input));
  const Value::Object predicate{
      {"schema", receipt_schema},
      {"job", Value::Object{{"sha256", receipt.job.hex()}}},
      {"inputs", std::move(inputs)},
      {"workload", receipt.workload},
      {"profile", receipt.profile},
      {"trace", Value::Object{{"root", receipt.trace_root.hex()}, {"units", receipt.units}}},
      {"attempt", receipt.attempt},
      {"retention_s", receipt.retention_s},
      {"started", receipt.started},
      {"ended", receipt.ended},
      {"elapsed_ns", receipt.elapsed_ns},
      {"peak_memory_bytes", receipt.peak_memory_bytes},
      {"device",
       Value::Object{
           {"backend", receipt.backend}, {"name", receipt.device}, {"driver", receipt.driver}}},
      {"sandbox", receipt.sandbox},
      {"tool", receipt.tool},
      {"signer", crypto::to_base64(receipt.signer)}};
  return doc::to_canonical_json(Value::Object{{"_type", crypto::in_toto_statement},
                                              {"subject", std::move(subject)},
                                              {"predicateType", receipt_predicate},
                                              {"predicate", predicate}});
}

Receipt parse_receipt(std::string_view payload, std::string_view origin) {
  const Source source{std::string(origin), Exit::verification_failed};
  const Value root = doc::parse_json(payload, origin, {max_document_bytes, 16}, source.code);
  if (doc::to_canonical_json(root) != payload) {
    throw Error(source.code, std::string(origin) + " is not in canonical form",
                "volt writes receipts by RFC 8785; another spelling may be read differently");
  }
  Fields fields(root, source);
  if (fields.string("_type") != crypto::in_toto_statement) {
    fields.fail("_type", fields.get("_type"), "is not an in-toto statement, version 1");
  }
  if (fields.string("predicateType") != receipt_predicate) {
    fields.fail("predicateType", fields.get("predicateType"), "is no receipt of volt");
  }
  Receipt receipt;
  const auto& subject = entries(fields, "subject");
  for (std::size_t i = 0; i < subject.size(); ++i) {
    receipt.outputs.push_back(
        parse_subject(subject[i], source, "subject[" + std::to_string(i) + "]"));
  }
  refuse_same_names(receipt.outputs, fields, "subject", fields.get("subject"));
  parse_predicate(fields.table("predicate"), source, receipt);
  fields.refuse_others();
  return receipt;
}

std::string manifest(const std::map<std::string, Digest>& files) {
  std::string text;
  for (const auto& [name, digest] : files) text += digest.hex() + "  " + name + "\n";
  return text;
}

Digest SignedReceipt::digest() const { return crypto::sha256(as_bytes(payload)); }

SignedReceipt open_receipt(std::string_view text, std::string_view origin) {
  const auto envelope = crypto::Envelope::parse_in_toto(text, origin);
  Receipt receipt = parse_receipt(envelope.payload, origin);
  auto signer = envelope.check_signer(receipt.signer, origin);
  return {std::move(receipt), envelope.payload, std::move(signer)};
}

}  // namespace volt::schema
