"""No code of reckon built for AVX2 may reach a baseline program through the linker.

Usage: weak_symbols.py <baseline object> <avx2 object> [<nm> <objdump>]

Two translation units with different flags may define the same template instance or inline function; the linker keeps one
of the two, whichever comes first. If the one built for AVX2 is kept, the whole program needs AVX2. So a weak symbol of
reckon that both objects define must be free of VEX-encoded instructions in the AVX2 object too.
"""
import re
import subprocess
import sys

baseline, avx2 = sys.argv[1:3]
nm, objdump = sys.argv[3:5] if len(sys.argv) > 4 else ("nm", "objdump")


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, universal_newlines=True).stdout


def weak_functions(path):
    """Mangled names of defined weak symbols whose name mentions namespace reckon."""
    names = set()
    for line in output(nm, "--defined-only", path).splitlines():
        kind, name = line.split()[-2:]
        if kind == "W" and "6reckon" in name:
            names.add(name)
    return names


def disassembly(path):
    """Mangled name -> list of mnemonics."""
    functions, current = {}, None
    for line in output(objdump, "-d", "--no-show-raw-insn", path).splitlines():
        header = re.match(r"^[0-9a-f]+ <(.+)>:$", line)
        if header:
            current = functions.setdefault(header.group(1), [])
            continue
        instruction = re.match(r"^\s+[0-9a-f]+:\s+(\S+)\s*(.*)$", line)
        if instruction and current is not None:
            current.append(" ".join(instruction.groups()))
    return functions


def is_vex(instruction):
    mnemonic = instruction.split()[0]
    # verr, verw and the VMX family start with v but are not VEX-encoded; compilers never emit them.
    return mnemonic.startswith("v") or "%ymm" in instruction or "%zmm" in instruction


shared = weak_functions(baseline) & weak_functions(avx2)
code = disassembly(avx2)
if not any(is_vex(i) for body in code.values() for i in body):
    sys.exit("the AVX2 object holds no AVX2 code at all: this check would pass whatever the library does")

bad = {}
for name in sorted(shared):
    found = [i for i in code.get(name, []) if is_vex(i)]
    if found:
        bad[name] = found[0]
print(f"{len(shared)} weak functions of reckon are defined in both objects, {len(bad)} of them hold AVX2 code")
for name, instruction in bad.items():
    readable = subprocess.run(["c++filt", name], stdout=subprocess.PIPE, universal_newlines=True).stdout.strip()
    print(f"  {readable}\n      {instruction}")
sys.exit(1 if bad else 0)
