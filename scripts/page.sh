#!/usr/bin/env bash
#
# Builds the page to talk to an agent, in one file, which the next build of the program carries inside.
#
#   scripts/page.sh          builds it unless it is there and its sources have not changed since
#   scripts/page.sh --force  builds it whatever is there
#
# The packages come from the registry that npm is set up for, each checked against the hash in page/package-lock.json.
# Nothing is asked, nothing is read from stdin.
# Written for bash 3.2 as well, which is what macOS has.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The oldest Node.js that vite runs with.
readonly NODE_MAJOR=20 NODE_MINOR=19

readonly PAGE=.tools/page/index.html STAMP=.tools/page.stamp

give_up() {
    printf 'page: %s\n' "$@" >&2
    exit 2
}

# What the page is made of, as one number a file.
sources() { find page -type f -not -path '*/node_modules/*' -print0 | sort -z | xargs -0 cksum; }

check_node() {
    local remedy="Install Node.js $NODE_MAJOR.$NODE_MINOR or newer, which brings npm: https://nodejs.org"
    command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 || give_up "Node.js is not installed." "$remedy"
    node -e "const [a, b] = process.versions.node.split('.').map(Number);
             process.exit(a > $NODE_MAJOR || (a === $NODE_MAJOR && b >= $NODE_MINOR) ? 0 : 1)" ||
        give_up "Node.js is too old: $(node --version)." "$remedy"
}

main() {
    local now
    now=$(sources)
    if [ "${1:-}" != --force ] && [ -s "$PAGE" ] && [ "$(cat "$STAMP" 2>/dev/null)" = "$now" ]; then
        return 0
    fi
    check_node
    echo "page: building it from page/" >&2
    rm -f "$STAMP"
    {
        npm --prefix page ci --loglevel=error && npm --prefix page run --silent build -- --logLevel=warn
    } </dev/null >&2 || give_up "it could not be built; what npm said is above"
    printf '%s\n' "$now" >"$STAMP"
    printf 'page: %s, %s bytes; the next build of the program carries it\n' "$PAGE" "$(($(wc -c <"$PAGE")))" >&2
}

main "$@"
