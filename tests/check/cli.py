#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the manners of every tool given as an argument against its own option table."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

failures = 0


def check(what, good, detail=""):
    """Prints one line; counts what is not good."""
    global failures
    failures += not good
    print(("ok      " if good else "FAILED  ") + what + ("" if good else f": {detail!r}"))


def skip(what, why):
    print(f"skipped {what}: {why}")


def call(*command, **variables):
    """Runs in an empty folder and home, so that no configuration is found."""
    environment = {"PATH": os.environ["PATH"], "HOME": home, **variables}
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LD_LIBRARY_PATH"):
        if name in os.environ:
            environment[name] = os.environ[name]
    return subprocess.run(command, cwd=home, env=environment, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60)


def refused(what, tool, name, *arguments):
    """Exit 2, nothing on stdout, one line of error and perhaps a hint."""
    end = call(tool, *arguments)
    lines = end.stderr.splitlines()
    good = (end.returncode == 2 and end.stdout == "" and 1 <= len(lines) <= 2
            and re.fullmatch(re.escape(name) + r": error: [^A-Z].*[^.]|"
                             + re.escape(name) + r": error: [A-Z]+ is missing", lines[0])
            and all(line.startswith("hint: ") for line in lines[1:]))
    check(what, good, (end.returncode, end.stdout, end.stderr))
    return lines


def one_json_line(what, end, status=None):
    try:
        document = json.loads(end.stdout)
        good = end.stdout.count("\n") == 1 and "schema" in document and end.stderr == ""
        good = good and status in (None, end.returncode)
    except ValueError:
        document, good = {}, False
    check(what, good, (end.returncode, end.stdout, end.stderr))
    return document


def names(option):
    return [name for name in (option["short"], option["long"]) if name]


def check_help(tool, name, words, options):
    called = " ".join([name, *words])
    end = call(tool, *words, "--help")
    check(f"{called} --help", end.returncode == 0 and end.stdout and not end.stderr, end.stderr)
    check(f"{called} --help begins with how to call it",
          end.stdout.startswith("usage: " + (called if words else name)), end.stdout[:80])
    listed = [n for o in options for n in (names(o) or [o["value"]])]
    missing = [n for n in listed if not re.search(re.escape(n) + r"(?![\w-])", end.stdout)]
    check(f"{called} --help names every option", not missing, missing)
    wide = [line for line in end.stdout.splitlines() if len(line) > 80]
    check(f"{called} --help fits 80 columns", not wide, wide)
    check(f"{called} --help hides --dump", "--dump" not in end.stdout, "--dump")


def check_options(tool, name, words, options):
    called = " ".join([name, *words])
    lines = refused(f"{called} refuses an unknown option", tool, name, *words, "--no-such-option")
    check(f"{called} gives a hint", len(lines) == 2, lines)
    lines = refused(f"{called} refuses a misspelt option", tool, name, *words, "--jsno")
    check(f"{called} suggests the right one", lines[-1:] == ['hint: did you mean "--json"?'], lines)
    one_json_line(f"{called} --json reports it as JSON",
                  call(tool, *words, "--json", "--no-such-option"), 2)
    for option in options:
        # A positional number, or one that needs others, is judged by the tool's own tests.
        if option["positional"]:
            continue
        option_name = option["name"]
        if option["kind"] == "number":
            for text in ("-1", "+5", "010", "1e3", "x", "", "18446744073709551616"):
                lines = refused(f"{called} refuses {option_name}={text}", tool, name, *words,
                                f"{option_name}={text}", "--show-config")
                check(f"{called} names {option_name} and {text!r}",
                      lines and option_name in lines[0] and f'"{text}"' in lines[0], lines)
        if option["choices"]:
            refused(f"{called} refuses a wrong {option_name}", tool, name, *words,
                    f"{option_name}=no-such-choice", "--show-config")
        if option["kind"] == "flag":
            refused(f"{called} refuses {option_name}=false", tool, name, *words,
                    f"{option_name}=false", "--show-config")
        if option["kind"] == "flag" and option_name != "--json":
            refused(f"{called} refuses {option_name} twice", tool, name, *words, option_name,
                    option_name, "--show-config")


def check_man(tool, name, table):
    end = call(tool, "--dump", "man")
    check(f"{name} --dump man", end.returncode == 0 and not end.stderr, end.stderr)
    spelt = end.stdout.replace("\\-", "-")
    missing = []
    for option in every_option(table):
        for one in names(option):
            pattern = r"Fl Fl " if one.startswith("--") else r"Fl "
            if not re.search(pattern + re.escape(one.lstrip("-")) + r"(?![\w-])", spelt):
                missing.append(one)
    check(f"{name}: every option is in the man page", not missing, missing)
    check(f"{name}: --dump is not", "Fl Fl dump" not in spelt, "dump")
    if not shutil.which("mandoc"):
        skip(f"{name}: the man page is clean", "no mandoc")
        return
    page = (f".Dd November 20, 2026\n.Dt {name.upper()} 1\n.Os\n.Sh NAME\n.Nm {name}\n.Nd tool\n"
            f".Sh SYNOPSIS\n{call(tool, '--dump', 'man-synopsis').stdout}.Sh DESCRIPTION\nText.\n"
            f"{end.stdout}.Sh CONFIGURATION\n{call(tool, '--dump', 'man-settings').stdout}"
            f".Sh EXIT STATUS\n{call(tool, '--dump', 'man-exit').stdout}")
    path = os.path.join(home, name + ".1")
    with open(path, "w", encoding="utf-8") as file:
        file.write(page)
    end = call("mandoc", "-Tlint", "-W", "style", path)
    # Whether the pages named exist is for the test of the installed pages.
    faults = [line for line in end.stdout.splitlines() if "referenced manual not found" not in line]
    check(f"{name}: the man page is clean", not faults, faults)


def check_completions(tool, name, table):
    for shell in ("bash", "zsh", "fish"):
        end = call(tool, "--dump", shell)
        check(f"{name} --dump {shell}", end.returncode == 0 and not end.stderr, end.stderr)
        missing = []
        for option in every_option(table):
            for one in names(option):
                if shell == "fish":
                    one = ("-l " if one.startswith("--") else "-s ") + one.lstrip("-")
                if not re.search(re.escape(one) + r"(?![\w-])", end.stdout):
                    missing.append(one)
        missing += [verb["name"] for verb in table["verbs"] if verb["name"] not in end.stdout]
        check(f"{name}: every option and verb is in {shell}", not missing, missing)
        if not shutil.which(shell):
            skip(f"{name}: {shell} -n", f"no {shell}")
            continue
        path = os.path.join(home, name + "." + shell)
        with open(path, "w", encoding="utf-8") as file:
            file.write(end.stdout)
        end = call(shell, "-n", path)
        check(f"{name}: {shell} -n", end.returncode == 0 and not end.stderr, end.stderr)


def every_option(table):
    options = table["options"] + table["common"]
    for verb in table["verbs"]:
        options = options + verb["options"]
    return options


def check_tool(tool):
    end = call(tool, "--dump", "json")
    name = os.path.basename(tool)
    table = one_json_line(f"{name} --dump json", end, 0)
    if not table:
        return
    check(f"{name} is its name", table["name"] == name, table["name"])

    end = call(tool, "--version")
    check(f"{name} --version",
          end.returncode == 0 and not end.stderr
          and re.fullmatch(re.escape(f"{name} {table['version']}") + r"\n([+-]\w+ ?)*\n", end.stdout),
          end.stdout)
    one_json_line(f"{name} --version --json", call(tool, "--version", "--json"), 0)
    end = call(tool, "--show-config")
    check(f"{name} --show-config", end.returncode == 0 and not end.stderr, end.stderr)
    one_json_line(f"{name} --show-config --json", call(tool, "--show-config", "--json"), 0)
    if not table["runs"] or any(option["required"] for option in table["options"]):
        lines = refused(f"{name} without arguments", tool, name)
        check(f"{name} says where help is", lines[-1:] == [f"hint: try {name} --help"], lines)
        one_json_line(f"{name} --json without arguments", call(tool, "--json"), 2)
    if not table["runs"]:
        refused(f"{name} refuses an unknown verb", tool, name, "no-such-verb")
    for path, status in (("/dev/full", 15),):
        with open(path, "w", encoding="utf-8") as full:
            code = subprocess.run([tool, "--help"], stdout=full, stderr=subprocess.PIPE, text=True,
                                  check=False)
        check(f"{name} notices a full disk", code.returncode == status and "No space" in code.stderr,
              (code.returncode, code.stderr))

    modes = [([], table["options"])]
    modes += [(verb["name"].split(), verb["options"]) for verb in table["verbs"]]
    for words, options in modes:
        check_help(tool, name, words, options + table["common"])
        check_options(tool, name, words, options + table["common"])
    check_man(tool, name, table)
    check_completions(tool, name, table)


if len(sys.argv) < 2:
    sys.exit("usage: cli.py TOOL...")
with tempfile.TemporaryDirectory() as home:
    for argument in sys.argv[1:]:
        check_tool(os.path.abspath(argument))
sys.exit(f"{failures} checks failed" if failures else 0)
