"""Compiles each header alone, and compares the time of each public one with its budget.

Usage: measure.py <c++> <include folder> <budget file, none or precompiled> <flags, separated by ;> [<other include folder>...]

A file includes one header, twice, so that a missing include and a missing guard both show; the flags are those of our own programs. The time is user CPU
seconds of `c++ -std=c++20 -O2 -c`, less those of an empty file.
Budgets hold on the machine that budget.txt was written on; elsewhere they are scaled by the time that <string> takes.
A header over its budget is measured again twice, and the least time counts.
Without budgets every header compiles alone and nothing is measured; with `precompiled` (clang++ only) after the standard library and xsimd,
which hides what a header does not include of these, and takes a third of the time.
"""
import concurrent.futures
import os
import subprocess
import sys
import tempfile
import threading

compiler, include, budget_file, warnings = sys.argv[1:5]
others = [folder for folder in sys.argv[5:] if folder not in ("", "/usr/include") and os.path.isdir(folder)]


def seconds(line, folder, how=("-c",)):
    name = os.path.join(folder, str(threading.get_ident()))
    source = name + ".cpp"
    with open(source, "w") as file:
        file.write(line + "\n")
    command = [compiler, "-std=c++20", "-O2", *warnings.split(";"), "-I" + include]
    for other in others:
        command += ["-isystem", other]
    process = subprocess.Popen(command + [*how, source, "-o", name + ".o"])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"this does not compile alone:\n{line}")
    return usage.ru_utime


EIGEN = "reckon/eigen.hpp"
has_eigen = any(os.path.isdir(os.path.join(other, "Eigen")) for other in others)


def twice(header):
    return f'#include "{header}"\n' * 2


def headers_below(detail):
    for folder, _, files in sorted(os.walk(os.path.join(include, "reckon"))):
        if (os.path.basename(folder) == "detail") == detail:
            for file in sorted(files):
                if file.endswith(".hpp"):
                    yield os.path.relpath(os.path.join(folder, file), include)


PRECOMPILED = """algorithm array atomic cmath concepts condition_variable cstddef cstdint cstring functional limits map memory mutex new
    numeric sstream stdexcept string thread tuple type_traits utility vector xsimd/xsimd.hpp""".split()

if budget_file in ("none", "precompiled"):
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as workers:
        headers = [h for detail in (False, True) for h in headers_below(detail) if has_eigen or h != EIGEN]
        how = ["-c"]
        if budget_file == "precompiled":
            seconds("".join(f"#include <{header}>\n" for header in PRECOMPILED), folder, ["-x", "c++-header"])
            precompiled = os.path.join(folder, "precompiled.pch")
            os.replace(os.path.join(folder, f"{threading.get_ident()}.o"), precompiled)
            how = ["-include-pch", precompiled, "-fsyntax-only"]
        list(workers.map(lambda header: seconds(twice(header), folder, how), headers))
    print(f"{len(headers)} headers compile alone")
    sys.exit(0)

budgets = {}
with open(budget_file) as file:
    for line in file:
        fields = line.split("#")[0].split()
        if fields:
            budgets[fields[0]] = float(fields[1])

over, stale = [], set(budgets) - {"<string>", "default"}
with tempfile.TemporaryDirectory() as folder:
    empty = min(seconds("", folder) for _ in range(3))
    reference = min(seconds("#include <string>", folder) for _ in range(5)) - empty
    scale = max(1.0, reference / budgets["<string>"])
    print(f"<string> takes {reference:.2f} s here and {budgets['<string>']:.2f} s in the budget: scale {scale:.2f}")
    print(f"{'header':45} {'seconds':>8} {'budget':>8}")
    headers = list(headers_below(False))
    stale -= set(headers)
    if not has_eigen:
        headers.remove(EIGEN)

    def measure(header):
        budget = budgets.get(header, budgets["default"]) * scale
        line = twice(header)
        spent = seconds(line, folder) - empty
        for _ in range(2):
            if spent > budget:
                spent = min(spent, seconds(line, folder) - empty)
        return spent, budget

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as workers:
        for header, (spent, budget) in zip(headers, workers.map(measure, headers)):
            note = "" if header in budgets else "  (default budget)"
            if spent > budget:
                over.append(header)
                note += "  OVER"
            print(f"{header:45} {max(spent, 0.0):8.2f} {budget:8.2f}{note}", flush=True)
        inner = list(headers_below(True))
        list(workers.map(lambda header: seconds(twice(header), folder), inner))
        print(f"{len(inner)} headers of detail/ compile alone")
for header in sorted(stale):
    print(f"budget.txt names {header}, which does not exist")
for header in over:
    print(f"{header} is over its budget: include less, or raise the line in budget.txt and say why")
sys.exit(1 if over or stale else 0)
