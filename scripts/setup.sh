# Sourced by scripts/heatgrid and scripts/test: the virtual environment, made once, by the lock, with its hashes.
# After `setup run` or `setup test`, $venv holds heatgrid (editable) and what it needs. Speaks on stderr only.
# HEATGRID_VENV: another place for it. HEATGRID_PYTHON: the python to make it from. HEATGRID_SETUP=pip: never use uv.

venv=${HEATGRID_VENV:-$root/.venv}
stamp=$venv/heatgrid-setup

say() { printf 'heatgrid set-up: %s\n' "$*" >&2; }

die() {
    say "$*"
    exit 1
}

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    for python in ${HEATGRID_PYTHON:-python3 python3.13 python3.12 python3.11 python3.14 python}; do
        if command -v "$python" >/dev/null 2>&1 && new_enough "$python"; then
            [ "$python" = "${HEATGRID_PYTHON:-python3}" ] || say "$(python3 -V 2>&1 || echo 'no python3') is too old, taking $python"
            return 0
        fi
    done
    die "needs Python 3.11 or newer; found $(python3 -V 2>&1 || echo 'no python3'). Install one, or name it: HEATGRID_PYTHON=/path/to/python3.12"
}

into_venv() { # pip install "$@" into $venv: by its own pip, the outer pip, or the pip that Python carries
    if "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        "$venv/bin/python" -m pip install --quiet "$@" >&2
    elif "$python" -m pip --python "$venv/bin/python" --version >/dev/null 2>&1; then
        "$python" -m pip --python "$venv/bin/python" install --quiet "$@" >&2
    elif "$venv/bin/python" -m ensurepip >/dev/null 2>&1; then
        "$venv/bin/python" -m pip install --quiet "$@" >&2
    else
        die "$python has no pip; install python3-pip (or python3-venv) and run this again"
    fi
}

get_uv() { # uv by its own hashes out of the lock, into the environment
    [ "${HEATGRID_SETUP:-}" != pip ] || return 1
    [ -x "$venv/bin/uv" ] && return 0
    sed -n '/^uv==/,/[^\\]$/p' requirements.lock >"$venv/uv.lock"
    into_venv --require-hashes --no-deps -r "$venv/uv.lock" && [ -x "$venv/bin/uv" ]
}

# bytecode now, not at the first import: where PYTHONDONTWRITEBYTECODE is set it would never be kept
by_uv() { "$venv/bin/uv" pip install --quiet --compile-bytecode --python "$venv/bin/python" "$@" >&2; }

install_all() { # $1: run (what heatgrid needs) or test (the whole lock)
    if get_uv; then
        if [ "$1" = test ]; then
            by_uv --require-hashes -r requirements.lock || return 1
        else
            by_uv -c requirements.lock -r pyproject.toml hatchling editables || return 1
        fi
        by_uv --no-deps --no-build-isolation -e .
    else
        say "without uv: pip takes a little longer"
        into_venv --require-hashes -r requirements.lock && into_venv --no-deps --no-build-isolation -e .
    fi
}

take_turn() { # one set-up at a time; a dead one's turn is taken over
    mkdir -p "$(dirname "$venv")"
    waited=
    until mkdir "$venv.lock" 2>/dev/null; do
        owner=$(cat "$venv.lock/pid" 2>/dev/null || echo)
        if [ -n "$owner" ] && ! kill -0 "$owner" 2>/dev/null; then
            rm -rf "$venv.lock"
            continue
        fi
        [ -n "$waited" ] || say "another set-up is at work in $venv (process ${owner:-?}); waiting"
        waited=yes
        sleep 1
    done
    echo $$ >"$venv.lock/pid"
    trap 'rm -rf "$venv.lock"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

satisfied() { # the stamp names the set, the files it was made from and the place
    [ -r "$stamp" ] && [ -x "$venv/bin/heatgrid" ] || return 1
    { read -r have_set && read -r have_sum && read -r have_root; } <"$stamp"
    [ "$have_sum" = "$wanted" ] && [ "$have_root" = "$root" ] && { [ "$have_set" = "$1" ] || [ "$have_set" = test ]; }
}

setup() {
    wanted=$(cat "$root/requirements.lock" "$root/pyproject.toml" | cksum)
    if satisfied "$1"; then return 0; fi
    take_turn
    if ! satisfied "$1"; then
        started=$(date +%s)
        cd "$root" || exit 1
        find_python
        if ! new_enough "$venv/bin/python"; then
            say "making $venv with $("$python" -V 2>&1)"
            "$python" -m venv --clear --without-pip "$venv" >&2 || die "cannot make $venv"
        fi
        rm -f "$stamp"
        say "installing the locked packages ($1)"
        install_all "$1" || die "installing failed (the lines above say why); nothing else was changed"
        "$venv/bin/python" -m compileall -q src/heatgrid >&2 || true
        printf '%s\n%s\n%s\n' "$1" "$wanted" "$root" >"$stamp"
        say "done in $(($(date +%s) - started)) s"
        cd "$here" || exit 1
    fi
    rm -rf "$venv.lock"
    trap - EXIT INT TERM
}
