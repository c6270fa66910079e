# Sourced by scripts/test: Chromium and npm from the system's packages, where they are absent and this is root.
# Nothing is downloaded by playwright itself: the tests give it the path of the system's browser and say its version.
browser() {
    need=
    command -v chromium >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1 || need="$need chromium"
    command -v npm >/dev/null 2>&1 || need="$need npm"
    [ -n "$need" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || return 0
    say "installing$need"
    # shellcheck disable=SC2086 -- several packages
    apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $need >&2 ||
        say "without$need: its tests are skipped"
}
