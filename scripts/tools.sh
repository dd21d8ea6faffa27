#!/bin/sh
# Names the tools that make needs, or what is missing and the Debian package that has it.
#
# Prints one line per tool with its version, so that make can tell when one of them has changed.
# PYTHON chooses the interpreter. Exits with 1 after listing everything that is missing.

set -u
python=${PYTHON:-python3}
missing=0

lacks() {
    echo "missing: $1; on Debian: apt-get install $2" >&2
    missing=1
}

# The oldest Rust is the one that Cargo.toml asks for.
oldest=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' Cargo.toml)
rust_package="cargo (Debian 13 or later; before that, see https://rustup.rs)"
if command -v cargo >/dev/null && version=$(rustc --version 2>/dev/null); then
    echo "$version"
    number=$(echo "$version" | cut -d ' ' -f 2)
    if [ "$(printf '%s\n' "$oldest" "$number" | sort -V | head -n 1)" != "$oldest" ]; then
        lacks "Rust $oldest or later (found $number)" "$rust_package"
    fi
else
    lacks "a Rust toolchain (cargo and rustc), $oldest or later" "$rust_package"
fi

if ! command -v "$python" >/dev/null; then
    lacks "Python 3.11 or later as '$python' (PYTHON= chooses another)" "python3 python3-venv python3-pip"
elif ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    lacks "Python 3.11 or later (found $("$python" --version); PYTHON= chooses another)" python3
else
    "$python" -c 'import sys; print("python", sys.version.replace("\n", " "))'
    "$python" -c 'import venv, ensurepip' 2>/dev/null || lacks "the venv module of $python" python3-venv
    "$python" -c 'import pip' 2>/dev/null || lacks "the pip module of $python" python3-pip
fi

if command -v "${CC:-cc}" >/dev/null; then
    "${CC:-cc}" --version | head -n 1
else
    lacks "a C compiler to link with, as '${CC:-cc}'" gcc
fi

exit $missing
