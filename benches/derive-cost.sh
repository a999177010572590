#!/usr/bin/env bash
# What the derive costs its users, beside serde (both derives) and validator, in one run:
#   lines  of a whole crate with one 5-field struct, expanded (`rustc -Zunpretty=expanded`) and formatted by rustfmt;
#   check  milliseconds per struct: `cargo check` of 101 structs less that of 1, through 100; medians of alternating runs.
# DustSchema cannot be checked without serde's impls, so its time is (serde + DustSchema) less serde.
# CPU time (user + system of cargo and rustc) is what is compared, since it is steadier than wall time on a busy machine.
#
# usage: benches/derive-cost.sh [RUNS]      RUNS of each kind and size, 5 unless given
# needs: cargo, rustfmt, python3 (3.11 or later); writes to a temporary folder only
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 - "$repository" "$folder" "${1:-5}" <<'PYTHON'
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import time
import tomllib

repository, folder, runs = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
SIZES = (1, 101)
LINES_MAX = 80
SHARE_OF_SERDE_MAX = 0.5

USES = {
    "serde": "use serde::{Deserialize, Serialize};\n",
    "validator": "use validator::Validate;\n",
    "dust": "use dust_orm::DustSchema;\n",
}
DERIVES = {"serde": ["Serialize", "Deserialize"], "validator": ["Validate"], "dust": ["DustSchema"]}


def source(kinds, structs):
    """A crate of `structs` structs that derive what `kinds` name."""
    text = "".join(USES[kind] for kind in kinds)
    derives = ", ".join(name for kind in kinds for name in DERIVES[kind])
    for number in range(structs):
        text += f"#[derive({derives})]\n" if derives else ""
        text += '#[dust(prefix = "links")]\n' if "dust" in kinds else ""
        text += f"pub struct Link{number} {{\n"
        for field, type_, dust, rule in [
            ("slug", "String", "slug", ""),
            ("title", "String", "required", "length(min = 1, max = 200)"),
            ("url", "String", "required", "url"),
            ("note", "Option<String>", "", "length(max = 1000)"),
            ("stars", "u32", "default", "range(max = 5)"),
        ]:
            text += f"    #[dust({dust})]\n" if dust and "dust" in kinds else ""
            text += f"    #[validate({rule})]\n" if rule and "validator" in kinds else ""
            text += f"    pub {field}: {type_},\n"
        text += "}\n"
    return text


def cargo(*arguments, **settings):
    environment = {**os.environ, "CARGO_TARGET_DIR": str(folder / "target"), "CARGO_INCREMENTAL": "0"}
    environment.update(settings)
    done = subprocess.run(["cargo", *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return done.stdout


def write(kinds, structs):
    (folder / "src/lib.rs").write_text(source(kinds, structs))


def check(kinds, structs):
    """CPU and wall milliseconds of one `cargo check` in which only the crate itself is stale."""
    write(kinds, structs)
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    cargo("check", "--quiet")
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return 1000 * cpu, 1000 * wall


def lines(kinds):
    write(kinds, 1)
    # The flag is unstable, and RUSTC_BOOTSTRAP lets the stable compiler take it.
    expanded = cargo("rustc", "--quiet", "--lib", "--profile", "check", "--", "-Zunpretty=expanded", RUSTC_BOOTSTRAP="1")
    formatted = subprocess.run(["rustfmt", "--edition", "2024"], input=expanded, capture_output=True, text=True, check=True)
    return len(formatted.stdout.splitlines())


def dependency(name):
    """The requirement of the workspace, as a line of TOML."""
    found = tomllib.loads((repository / "Cargo.toml").read_text())["workspace"]["dependencies"][name]
    fields = ", ".join(f"{key} = {json.dumps(value)}" for key, value in found.items())
    return f"{name} = {{ {fields} }}\n"


def prepare():
    (folder / "src").mkdir()
    orm = json.dumps(str(repository / "dust-orm"))
    (folder / "Cargo.toml").write_text(
        '[package]\nname = "derive-cost"\nversion = "0.0.0"\nedition = "2024"\n[workspace]\n[dependencies]\n'
        + f"dust-orm = {{ path = {orm}, default-features = false }}\n"
        + dependency("serde")
        + dependency("validator")
    )
    shutil.copy(repository / "Cargo.lock", folder / "Cargo.lock")


prepare()
measured = [(), ("serde",), ("validator",), ("serde", "dust")]
for kinds in measured:
    check(kinds, 1)
times = {(kinds, size): [] for kinds in measured for size in SIZES}
for _ in range(runs):
    for kinds in measured:
        for size in SIZES:
            times[kinds, size].append(check(kinds, size))


def median(kinds, size, clock):
    return statistics.median(taken[clock] for taken in times[kinds, size])


def per_struct(kinds, clock):
    return (median(kinds, SIZES[1], clock) - median(kinds, SIZES[0], clock)) / (SIZES[1] - SIZES[0])


CPU, WALL = 0, 1
plain = {clock: per_struct((), clock) for clock in (CPU, WALL)}
rows = []
for name, kinds, base in [
    ("no derive", (), None),
    ("serde, both derives", ("serde",), ()),
    ("validator, 4 rules", ("validator",), ()),
    ("serde and DustSchema", ("serde", "dust"), ()),
    ("DustSchema", ("serde", "dust"), ("serde",)),
]:
    each = [per_struct(kinds, clock) - (per_struct(base, clock) if base is not None else 0) for clock in (CPU, WALL)]
    printed = lines(("dust",) if name == "DustSchema" else kinds)
    rows.append((name, printed, each[CPU], each[WALL], median(kinds, 1, CPU), median(kinds, 101, CPU)))

print(f"5 fields, medians of {runs} alternating runs; per struct without the struct itself")
print(f"{'':22} {'lines':>6} {'CPU ms':>8} {'wall ms':>8}    {'1 struct, CPU ms':>16} {'101, CPU ms':>12}")
for name, printed, cpu, wall, one, many in rows:
    print(f"{name:22} {printed:6} {cpu:8.2f} {wall:8.2f}    {one:16.0f} {many:12.0f}")

serde, dust = rows[1], rows[4]
share = dust[2] / serde[2]
within = {True: "met", False: "MISSED"}
print(f"expansion: {dust[1]} lines, at most {LINES_MAX}: {within[dust[1] <= LINES_MAX]}")
print(f"check: {share:.2f} of serde's CPU time per struct, at most {SHARE_OF_SERDE_MAX}: {within[share <= SHARE_OF_SERDE_MAX]}")
sys.exit(not (dust[1] <= LINES_MAX and share <= SHARE_OF_SERDE_MAX))
PYTHON
