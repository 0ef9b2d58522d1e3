// SPDX-License-Identifier: Apache-2.0
#include "libvolt/cli/progress.hpp"

#include <algorithm>
#include <cstdio>
#include <vector>

#include "libvolt/base/quantities.hpp"
#include "libvolt/base/text.hpp"

namespace volt::cli {
namespace {

/// "310", "1.52 M": three significant digits.
std::string rate_text(double rate) {
  constexpr const char* units[] = {"", " k", " M", " G", " T"};
  std::size_t unit = 0;
  while (rate >= 999.5 && unit + 1 < std::size(units)) {
    rate /= 1000;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, "%.3g%s", rate, units[unit]);
  return text;
}

std::string amount(const Progress& progress) {
  const bool bytes = progress.unit == "bytes";
  const auto number = [&](std::uint64_t n) { return bytes ? format_memory(n) : std::to_string(n); };
  auto text = number(progress.done);
  if (progress.total != 0) text += " of " + number(progress.total);
  if (!bytes && !progress.unit.empty()) text += " " + printable(progress.unit, 20);
  if (progress.total == 0 || !progress.beside.empty()) return text;
  const auto share = static_cast<double>(std::min(progress.done, progress.total)) /
                     static_cast<double>(progress.total);
  // Rounded down: 100 % means done.
  return text + " (" + std::to_string(static_cast<int>(share * 100)) + " %)";
}

}  // namespace

std::string progress_text(const Progress& progress, std::uint64_t since,
                          std::chrono::nanoseconds elapsed, std::size_t width) {
  std::vector<std::string> parts{printable(progress.what, 40) + ": " + amount(progress)};
  std::ptrdiff_t beside = 0;
  for (const auto piece : split(progress.beside, ',')) {
    if (trim(piece).empty()) continue;
    parts.push_back(printable(trim(piece), 40));
    ++beside;
  }
  const double seconds = std::chrono::duration<double>(elapsed).count();
  const double done = progress.done > since ? static_cast<double>(progress.done - since) : 0;
  // The first moments say nothing about the rate.
  if (done > 0 && seconds >= 0.5) {
    const double rate = done / seconds;
    if (beside > 0) {
      // It has the rate that matters.
    } else if (progress.unit == "bytes") {
      parts.push_back(format_memory(static_cast<std::uint64_t>(std::min(rate, 1e18))) + "/s");
    } else {
      auto per = printable(progress.unit, 20);
      auto number = rate_text(rate);
      const bool spaced = !per.empty() && (number.back() >= '0' && number.back() <= '9');
      parts.push_back(number + (spaced ? " " : "") + per + "/s");
    }
    if (progress.total > progress.done) {
      const double left = static_cast<double>(progress.total - progress.done) / rate;
      if (left < 1e8) {  // three years: more is noise, and would overflow the duration
        const auto rounded = std::chrono::duration<double>(left);
        parts.push_back(
            format_duration(std::chrono::duration_cast<std::chrono::nanoseconds>(rounded)) +
            " left");
      }
    }
  }
  while (parts.size() > 1 && join(parts, ", ").size() > width) {
    // Of these the time left goes last.
    parts.erase(beside > 0 ? parts.begin() + beside-- : parts.end() - 1);
  }
  auto text = join(parts, ", ");
  if (text.size() <= width) return text;
  while (width > 0 && (static_cast<unsigned char>(text[width]) & 0xc0) == 0x80) --width;
  return text.substr(0, width);
}

bool Meter::begins(const Progress& progress) const {
  return !what_ || *what_ != progress.what || progress.done < last_;
}

bool Meter::due(const Progress& progress, Time now) {
  if (begins(progress)) {
    what_ = progress.what;
    since_ = progress.done;
    begin_ = now;
    next_ = now + first_;
  }
  last_ = progress.done;
  if (now < next_) return false;
  next_ = now + interval_;
  return true;
}

}  // namespace volt::cli
