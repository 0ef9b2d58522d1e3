// SPDX-License-Identifier: Apache-2.0
#include "libvolt/run/verify.hpp"

#include <algorithm>
#include <filesystem>

#include "libvolt/base/text.hpp"
#include "libvolt/crypto/digest.hpp"
#include "libvolt/doc/fields.hpp"
#include "libvolt/doc/read.hpp"
#include "libvolt/proof/challenge.hpp"
#include "libvolt/proof/conclusion.hpp"
#include "libvolt/proof/consistency.hpp"
#include "libvolt/run/job_file.hpp"
#include "libvolt/run/operands.hpp"
#include "libvolt/run/receipt_files.hpp"
#include "libvolt/run/rerun.hpp"
#include "libvolt/run/seen.hpp"
#include "libvolt/workload/matmul.hpp"

namespace volt::run {
namespace {

using doc::Fields;
using doc::Source;
using doc::Value;
using schema::Answer;

const Source source{"worker", Exit::failure};

using host::shown;

class Verification {
 public:
  Verification(const VerifyOptions& options, crypto::KeyStore& keys, Sink& sink,
               const Interrupt& interrupt)
      : options_(options), keys_(keys), sink_(sink), interrupt_(interrupt) {}

  Verified perform() {
    verdict_.unproven = {"who chose the seed and the settings",
                         "that the work was done for you and not before",
                         "device, times, memory, sandbox and tool: as the signer says"};
    try {
      loaded_ = load_receipt(options_.path);
    } catch (const Error& error) {
      if (error.code() != Exit::verification_failed) throw;
      verdict_.set("signature", Answer::fails, reason(error));
      return done();
    }
    identify();
    const bool job_known = read_job();
    if (verdict_.failed()) return done();
    verdict_.level = level();
    // Whatever comes of it: one attempt has one result.
    // A command may give another one each time it is run, and nobody could tell why; so may what
    // is not exact.
    const bool promised = job_known && !job_.is_command() && job_.is_exact();
    if (promised && !options_.seen.empty() && !check_seen()) return done();
    if (!options_.proof.empty()) {
      check_proof(job_known);
    } else {
      check_files();
      if (job_known && !verdict_.failed()) check_work();
    }
    return done();
  }

 private:
  static std::string reason(const Error& error) {
    std::string text = error.text();
    if (!error.hint().empty()) text += " (" + error.hint() + ")";
    return text;
  }

  Verified done() { return {std::move(verdict_), demand_}; }

  const schema::Receipt& receipt() const { return loaded_->receipt.receipt; }

  void identify() {
    const auto& signer = loaded_->receipt.signer;
    verdict_.receipt = loaded_->receipt.digest().hex();
    verdict_.signer = signer.id();
    const auto name = keys_.name_of(signer);
    verdict_.signer_name = name.value_or("unknown signer");
    std::string who = verdict_.signer_name + ", key " + signer.id().substr(0, 16);
    if (options_.signer) {
      const bool is_id = Digest::from_hex(*options_.signer).has_value();
      const std::string wanted = is_id ? *options_.signer : keys_.find(*options_.signer).id();
      if (wanted != signer.id()) {
        verdict_.set("signature", Answer::fails,
                     "signed by " + who + ", not by " + printable(*options_.signer));
        return;
      }
    }
    verdict_.set("signature", Answer::holds, "signed by " + who);
  }

  /// False when job.json is not there: then only what the receipt says itself can be looked at.
  bool read_job() {
    try {
      job_ = load_resolved_job(*loaded_);
    } catch (const Error& error) {
      const bool absent = error.code() == Exit::not_found;
      if (!absent && error.code() != Exit::verification_failed) throw;
      verdict_.set("job", absent ? Answer::cannot_tell : Answer::fails, reason(error));
      return !absent;
    }
    policy_ = job_.proof.at_least(schema::usual_policy(job_));
    demand_ = (options_.level ? job_.proof : policy_).demand();
    if (!options_.job.empty()) {
      const auto ordered = load_job(options_.job).job;
      if (!proof::difference(ordered, job_).empty()) {
        verdict_.set("job", Answer::fails,
                     "the receipt is not for the job in " + printable(options_.job) +
                         ", which differs in " + proof::difference(ordered, job_));
        return true;
      }
    } else {
      verdict_.unproven.insert(verdict_.unproven.begin(),
                               "that job.json is the job you mean (--job compares it with yours)");
    }
    const std::string why = proof::contradiction(receipt(), job_);
    if (!why.empty()) {
      verdict_.set("job", Answer::fails, "the receipt contradicts its job: " + why);
      return true;
    }
    verdict_.set("job", Answer::holds,
                 job_.name + ": " + std::string(receipt().workload) + description() + ", attempt " +
                     std::to_string(receipt().attempt));
    describe_inputs();
    return true;
  }

  std::string description() const {
    if (job_.is_command()) return ", " + printable(job_.command.argv.front(), 60);
    if (job_.has_model()) {
      return " " + receipt().profile + ", " + std::to_string(receipt().units) + " units";
    }
    const auto g = geometry();
    return " " + receipt().profile + ", " + std::to_string(g.m) + " x " + std::to_string(g.n) +
           " x " + std::to_string(g.k);
  }

  workload::Geometry geometry() const {
    return workload::geometry(job_.matmul, receipt().inputs[0].tensor->description,
                              receipt().inputs[1].tensor->description, Exit::verification_failed);
  }

  void describe_inputs() {
    std::vector<std::string> parts;
    bool all_pinned = true;
    for (const auto& [name, input] : job_.inputs()) {
      std::string part = std::string(name) + " ";
      if (input->seeded() != nullptr) {
        part += "from seed " + std::to_string(input->seeded()->seed);
      } else if (input->sha256) {
        part += "as the job pins";
      } else if (const auto* record = receipt().input(name); record && record->receipt) {
        part += "from the run with receipt " + record->receipt->hex().substr(0, 16) +
                ", as the prover claims";
        all_pinned = false;
      } else {
        part += "as the prover claims";
        all_pinned = false;
      }
      parts.push_back(part);
    }
    if (!all_pinned) {
      verdict_.unproven.insert(
          verdict_.unproven.begin(),
          "that unpinned inputs are what you think (gpu-run --lock pins them)");
    }
    verdict_.set("inputs", all_pinned ? Answer::holds : Answer::cannot_tell,
                 parts.empty() ? "none" : join(parts, "; "));
  }

  std::string level() {
    std::string wanted = options_.level.value_or(policy_.level);
    if (job_.is_command()) {
      if (options_.rerun) wanted = "all";
      if (wanted != "L0" && wanted != "all") {
        throw Error(Exit::usage, "a command has no level " + wanted,
                    "only running it again shows more than its files: --rerun");
      }
    } else if (options_.rerun) {
      throw Error(Exit::usage, "--rerun is for commands, which this is not",
                  "--all computes every element again");
    } else if (wanted == "L4" && job_.profile() != "i8") {
      throw Error(Exit::usage, "level L4 needs the profile i8, not " + job_.profile(),
                  "only integer products have an algebraic check; try --all");
    }
    if (options_.level || options_.rerun) {
      // Asking for more than the job demands makes that the demand.
      schema::ProofPolicy asked;
      asked.level = wanted;
      demand_ = std::max(demand_, asked.demand());
    }
    return wanted;
  }

  /// A file in a folder that is an output, as a model is: its readers would read it as well.
  std::string foreign_file() const {
    if (!job_.has_model()) return {};
    for (const auto& output : receipt().outputs) {
      const auto folder = host::Path(output.name).parent_path();
      std::error_code error;
      if (folder.empty()) continue;
      for (const auto& entry :
           std::filesystem::directory_iterator(loaded_->folder / folder, error)) {
        const auto name = (folder / entry.path().filename()).string();
        if (receipt().output(name) == nullptr) return name;
      }
    }
    return {};
  }

  void check_files() {
    std::uint64_t right = 0;
    std::vector<std::string> missing;
    for (const auto& output : receipt().outputs) {
      const auto path = loaded_->folder / output.name;
      if (!host::exists(path)) {
        missing.push_back(output.name);
        continue;
      }
      host::Fd fd;
      try {
        fd = host::open_file(path, Exit::verification_failed);
      } catch (const Error& error) {
        if (error.code() != Exit::verification_failed) throw;
        verdict_.set("files", Answer::fails, error.message());
        return;
      }
      if (host::stamp_of(fd.get()).bytes != output.bytes ||
          inputs::digest_of(fd.get(), output.name, sink_, interrupt_.stop) != output.sha256) {
        verdict_.set("files", Answer::fails,
                     printable(output.name) + " is not the file that the receipt names");
        return;
      }
      if (!job_.is_command()) outputs_.emplace_back(output.name, std::move(fd));
      ++right;
    }
    if (const auto foreign = foreign_file(); !foreign.empty()) {
      verdict_.set(
          "files", Answer::fails,
          printable(foreign) + " lies among the outputs, and the receipt does not name it");
      return;
    }
    if (!missing.empty()) {
      verdict_.set("files", Answer::cannot_tell,
                   join(missing, ", ") +
                       " not beside the receipt; ask for a proof with "
                       "gpu-verify challenge");
      return;
    }
    verdict_.set("files", Answer::holds,
                 std::to_string(right) + (right == 1 ? " file has" : " files have") +
                     " the digests that the receipt names");
  }

  void leave_open(const std::string& why) {
    verdict_.set("work", Answer::cannot_tell, why);
    verdict_.set("output", Answer::cannot_tell, why);
  }

  void check_work() {
    if (job_.is_command() && !options_.rerun) {
      return leave_open("only running the program again shows it: --rerun");
    }
    if (verdict_.level == "L0") return leave_open("not examined at level L0");
    if (verdict_.find("files")->answer != Answer::holds) return leave_open("the output is missing");
    if (job_.is_command()) {
      if (job_.limits.network) {
        return leave_open("the program wants the network, which it does not get from a verifier");
      }
      for (const auto& name : job_.command.secrets) {
        // What lies in a verifier's environment is not for a stranger's program.
        if (options_.given.secrets.contains(name)) continue;
        return leave_open("the program wants the secret " + name + "; give --secret");
      }
    }
    const InputFiles files = find_inputs(*loaded_, job_, options_.places, sink_, interrupt_.stop);
    if (!files.missing.empty()) {
      return leave_open(missing_text(files) + "; give --inputs");
    }
    if (job_.is_command()) return run_again(files);
    using How = proof::Examined::How;
    draws_ = std::min(policy_.draws(), schema::max_draws);
    How how = verdict_.level == "L4" ? How::algebra : How::sample;
    // Drawing as many as there are costs as much as looking at each.
    if (verdict_.level == "all" || (how == How::sample && draws_ >= receipt().units))
      how = How::all;
    // One forged EOS would save the rest of a text, and a pass over it costs little.
    if (job_.is_generate()) how = How::all;
    const Digest seed = proof::challenge_seed(receipt(), crypto::random_digest());

    // What computes models has not run on a GPU yet: one must be named.
    const bool anywhere = how == How::all && !job_.has_model();
    const device::Wanted device = anywhere ? options_.device : for_a_few();
    Task task = task_for(job_.is_finetune()   ? "retrain"
                         : job_.is_generate() ? "regenerate"
                                              : "replay",
                         job_, device);
    task.request.emplace_back("how", how == How::all       ? "all"
                                     : how == How::algebra ? "algebra"
                                                           : "sample");
    task.request.emplace_back("seed", seed.hex());
    task.request.emplace_back("draws", draws_);
    for (const auto& input : files.found) {
      task.files.push_back({input.name, input.fd.get()});
    }
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      const std::string other = job_.has_model() ? outputs_[i].first : "image";
      task.files.push_back({i == 0 ? "out" : other, outputs_[i].second.get()});
    }
    try {
      const auto answer =
          work(task, sink_, interrupt_, [&](const Value& message) { compare(message); });
      for (const auto& input : files.found) input.check_unchanged();
      if (verdict_.failed()) return;
      conclude(answer, how);
    } catch (const Error& error) {
      if (error.code() != Exit::verification_failed && error.code() != Exit::usage) throw;
      verdict_.set("output", Answer::fails, reason(error));
    }
  }

  /// Where to compute a few elements: to take the operands to a GPU costs more than that.
  device::Wanted for_a_few() const {
    device::Wanted wanted = options_.device;
    if (wanted.device == "auto") wanted.device = "cpu";
    return wanted;
  }

  void run_again(const InputFiles& files) {
    try {
      proof::conclude(verdict_, rerun(job_, receipt(), files.found, options_.given, options_.cache,
                                      sink_, interrupt_));
    } catch (const Stopped& error) {
      if (interrupt_.limit && error.code() == Exit::timeout) throw;
      leave_open("run again, " + error.message());
    }
  }

  /// What the worker read must be what the receipt names.
  void compare(const Value& message) {
    Fields fields(message, source);
    if (const auto* input = fields.find("input")) {
      const auto& name = fields.table("input").string("name");
      const auto* record = receipt().input(name);
      if (record == nullptr || facts_of(*input) != record->tensor) {
        verdict_.set("inputs", Answer::fails,
                     "input " + printable(name) + " has other elements than the receipt names");
      }
    } else if (const auto* output = fields.find("output")) {
      if (facts_of(*output) != *receipt().outputs.front().tensor) {
        verdict_.set("files", Answer::fails,
                     "the output has other elements than the receipt names");
      }
    } else if (fields.has("file")) {
      Fields file = fields.table("file");
      compare_file(file.string("name"), file.digest("sha256"));
    } else if (fields.has("trace")) {
      Fields trace = fields.table("trace");
      if (trace.digest("root") != receipt().trace_root ||
          static_cast<std::uint64_t>(trace.integer("units", 0, INT64_MAX)) != receipt().units) {
        verdict_.set("files", Answer::fails,
                     outputs_.front().first + " has another trace than the receipt names");
      }
    } else if (fields.has("wrong")) {
      verdict_.set("files", Answer::fails, printable(fields.string("wrong")));
    } else if (fields.has("foreign")) {
      if (const auto& name = fields.string("foreign"); !name.empty()) {
        verdict_.set("files", Answer::fails, printable(name) + " is not what the states give");
      }
    } else if (fields.has("image") && !fields.boolean("image")) {
      verdict_.set("files", Answer::fails,
                   printable(job_.matmul.image) + " is not the picture of the output");
    }
  }

  /// A file as the worker read it: an input, or an output that it compared.
  void compare_file(std::string_view name, const Digest& sha256) {
    const auto* input = receipt().input(name);
    const auto* output = input == nullptr ? receipt().output(name) : nullptr;
    if (input != nullptr ? input->sha256 == sha256
                         : output != nullptr && output->sha256 == sha256) {
      return;
    }
    verdict_.set(input != nullptr ? "inputs" : "files", Answer::fails,
                 printable(name) + " was changed while it was examined");
  }

  void conclude(const run::Ending& answer, proof::Examined::How how) {
    Fields end(answer.end, source, "end");
    Fields cost = end.table("cost");
    verdict_.cost = cost.number("multiply_adds", 0, 1e300);
    verdict_.whole = cost.number("of", 0, 1e300);
    proof::Examined examined{how, receipt().units, draws_, 0, {}};
    examined.checked = static_cast<std::uint64_t>(end.integer("checked", 0, INT64_MAX));
    if (const auto* text = end.get("mismatch").get_if<std::string>()) examined.mismatch = *text;
    if (job_.has_model()) examined.unit = "unit";
    examined.exact = job_.is_exact();
    if (job_.is_finetune()) examined.ended_early = end.boolean("ended_early");
    proof::conclude(verdict_, examined, policy_);
  }

  void check_proof(bool job_known) {
    if (!job_known) {
      throw Error(Exit::not_found, "a proof cannot be checked without the job",
                  "put job.json of the run beside the receipt");
    }
    verdict_.level = "L2";
    verdict_.set("files", Answer::cannot_tell, "the outputs are not examined");
    const host::Fd proof_file = host::open_file(options_.proof);
    try {
      const auto [challenge, digest, asker] = own_challenge();
      Task task = task_for("openings", job_, for_a_few());
      task.request.emplace_back("receipt", loaded_->receipt.payload);
      task.request.emplace_back("challenge", digest.hex());
      task.request.emplace_back("seed", challenge.seed.hex());
      task.request.emplace_back("draws", challenge.draws);
      task.files.push_back({"proof", proof_file.get()});
      draws_ = challenge.draws;
      const auto answer = work(task, sink_, interrupt_, [](const Value&) {});
      conclude(answer, proof::Examined::How::opened);
    } catch (const Error& error) {
      if (error.code() != Exit::verification_failed) throw;
      verdict_.set("work", Answer::fails, reason(error));
      verdict_.set("output", Answer::cannot_tell, "the proof does not hold");
    }
  }

  schema::SignedChallenge own_challenge() {
    auto opened = schema::open_challenge(
        host::read_file(options_.challenge, schema::max_document_bytes, Exit::verification_failed),
        shown(options_.challenge));
    // A challenge that anybody else made may have been chosen so that a forgery passes.
    if (opened.signer.id() != keys_.own().public_key().id()) {
      throw Error(Exit::verification_failed, "the challenge is not one of yours",
                  "only your own challenge counts: gpu-verify challenge RECEIPT");
    }
    proof::check_challenge(opened.challenge, loaded_->receipt.payload, receipt());
    return opened;
  }

  bool check_seen() {
    auto earlier = Seen(options_.seen).contradiction(loaded_->receipt);
    if (!earlier) return true;
    verdict_.set("attempt", Answer::fails, std::move(*earlier));
    return false;
  }

  const VerifyOptions& options_;
  crypto::KeyStore& keys_;
  Sink& sink_;
  const Interrupt& interrupt_;
  schema::Verdict verdict_;
  schema::Demand demand_ = schema::Demand::identity;
  std::optional<Loaded> loaded_;
  schema::Job job_;
  schema::ProofPolicy policy_;
  std::vector<std::pair<std::string, host::Fd>> outputs_;
  std::uint64_t draws_ = 0;
};

}  // namespace

Verified verify(const VerifyOptions& options, crypto::KeyStore& keys, Sink& sink,
                const Interrupt& interrupt) {
  if (options.proof.empty() != options.challenge.empty()) {
    throw Error(Exit::usage,
                options.proof.empty() ? "a challenge alone verifies nothing"
                                      : "a proof without the challenge that it answers",
                "give both --challenge, which you made, and --proof, which answers it");
  }
  return Verification(options, keys, sink, interrupt).perform();
}

}  // namespace volt::run
