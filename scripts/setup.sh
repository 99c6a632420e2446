#!/usr/bin/env bash
#
# Checks that cargo and the system packages of the groups named are here, and installs what is missing.
#
#   scripts/setup.sh                 cargo alone
#   scripts/setup.sh build           + cmake and a C compiler (libopus is built from source), and on Linux ALSA's headers
#   scripts/setup.sh build speech    + the recogniser, its English model and the synthesiser, loaded at run time
#   scripts/setup.sh build speech test   all that, a second recogniser that listens to the demo, and a browser
#   scripts/setup.sh rooms           + what tests/rooms meets in LiveKit rooms: a livekit-server, and the official Python
#                                    client in a virtual environment; both are put into .tools, which is not committed
#   scripts/setup.sh sound           + what tests of the microphone meet: a PulseAudio server, with which no hardware is needed
#   scripts/setup.sh models          + what tests/providers meets: OpenAI's Python client and a proxy that speaks its
#                                    protocol, in a virtual environment of their own there; 300 MB, 750 MB unpacked
#   scripts/setup.sh peers           + what `make bench-peers` compares with: livekit-agents, pipecat and the SDK under them, in
#                                    a virtual environment of their own there, and a livekit-server; 700 MB unpacked
#   scripts/setup.sh mcp             + the MCP servers that tests/mcp_tools.rs talks to, from npm, in tests/peers/mcp; needs
#                                    Node.js
#
# Debian and Ubuntu: installs through apt-get, as root or with passwordless sudo. Elsewhere, or without the right to
# install: names the packages and the command, and exits with 2. So it does for the browser on Ubuntu, which has none as
# a package, and for livekit-server without Go to build it with. Nothing is asked, nothing is read from stdin.
# Written for bash 3.2 as well, which is what macOS has.

set -euo pipefail

# ldconfig lives in sbin, which a user's PATH need not have.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

here=${BASH_SOURCE[0]%/*}
[ "$here" != "${BASH_SOURCE[0]}" ] || here=.
tools=$here/../.tools
root=$here/..
mcp=$here/../tests/peers/mcp

# The last version that `go install` takes as it is: later ones carry replace directives, which it refuses.
livekit_server=github.com/livekit/livekit-server/cmd/server@v1.13.5

on_macos() { [ "$(uname -s)" = Darwin ]; }

have() { command -v "$1" >/dev/null 2>&1; }

# have_library libflite.so.1
have_library() {
    local name=$1 path
    for path in {/usr/lib,/lib,/usr/local/lib}/{,*-linux-*/}"$name" /usr/lib64/"$name"; do
        [ -e "$path" ] && return 0
    done
    if have ldconfig; then
        case "$(ldconfig -p 2>/dev/null || true)" in *"$name "*) return 0 ;; esac
    fi
    return 1
}

# have_under_brew lib/libflite.dylib
have_under_brew() {
    local prefix path
    for prefix in "${HOMEBREW_PREFIX:-/opt/homebrew}" /opt/homebrew /usr/local; do
        # Unquoted on purpose: the argument may be a glob.
        # shellcheck disable=SC2231
        for path in "$prefix"/$1; do
            [ -e "$path" ] && return 0
        done
    done
    return 1
}

# A browser in which tests look at pages.
have_browser() {
    [ -n "${ANTIPHON_CHROMIUM:-}" ] || have chromium || have chromium-browser || have google-chrome ||
        [ -d "/Applications/Chromium.app" ] || [ -d "/Applications/Google Chrome.app" ]
}

# Ubuntu's package of a browser is an empty one that asks for a snap, which sees no temporary folder.
is_ubuntu() { grep -qsx 'ID="\{0,1\}ubuntu"\{0,1\}' "${ANTIPHON_OS_RELEASE:-/etc/os-release}"; }

# Whether a browser is wanted that no package brings.
lacks_browser() {
    case " $* " in *" test "*) is_ubuntu && ! have_browser ;; *) return 1 ;; esac
}

# The order in which tests/rooms looks for it, too.
have_livekit_server() {
    if [ -n "${LIVEKIT_SERVER:-}" ]; then
        have "$LIVEKIT_SERVER" || give_up "LIVEKIT_SERVER names \"$LIVEKIT_SERVER\", which cannot be run." \
            "Name a livekit-server, or unset it."
        return 0
    fi
    have livekit-server || [ -x "$tools/bin/livekit-server" ]
}

# have_venv python tests/peers/requirements.txt: whether the virtual environment is there, and made from the requirements
# as they are now.
have_venv() { [ -x "$tools/$1/bin/python" ] && cmp -s "$root/$2" "$tools/$1/made-from.txt"; }

have_clients() { have_venv python tests/peers/requirements.txt; }

have_models() { have_venv models tests/peers/models.txt; }

have_peers() { have_venv bench-peers benches/peers/requirements.txt; }

# A Python that can make a virtual environment: Debian's own needs a package more for it.
can_make_venv() { have python3 && python3 -c 'import ensurepip, venv' 2>/dev/null; }

# ALSA, which sound devices are reached with on Linux.
have_alsa() { have pkg-config && pkg-config --exists alsa; }

have_model() { [ -d /usr/share/pocketsphinx/model/en-us ] || [ -d /usr/local/share/pocketsphinx/model/en-us ]; }

# Prints the packages that the groups named need and that are not here, one a line.
missing_packages() {
    local group
    for group in "$@"; do
        if on_macos; then
            case $group in
                build) have cmake || echo cmake ;;
                speech)
                    have_under_brew 'lib/libpocketsphinx*.dylib' || echo cmu-pocketsphinx
                    have_under_brew 'lib/libflite*' || echo flite
                    ;;
                test)
                    have pocketsphinx_batch || echo cmu-pocketsphinx
                    have_browser || echo chromium
                    ;;
                rooms) have_clients || can_make_venv || echo python ;;
                sound) have pulseaudio || echo pulseaudio ;;
                models) have_models || can_make_venv || echo python ;;
                peers) have_peers || can_make_venv || echo python ;;
            esac
        else
            case $group in
                build)
                    have cmake || echo cmake
                    have cc || echo build-essential
                    have pkg-config || echo pkg-config
                    have_alsa || echo libasound2-dev
                    ;;
                speech)
                    have_library libpocketsphinx.so.3 || echo libpocketsphinx3
                    have_model || echo pocketsphinx-en-us
                    have_library libflite.so.1 || echo libflite1
                    ;;
                test)
                    have pocketsphinx_batch || echo pocketsphinx
                    is_ubuntu || have_browser || echo chromium
                    ;;
                rooms) have_clients || can_make_venv || echo python3-venv ;;
                sound)
                    have pulseaudio || echo pulseaudio
                    have pactl || echo pulseaudio-utils
                    ;;
                models) have_models || can_make_venv || echo python3-venv ;;
                peers) have_peers || can_make_venv || echo python3-venv ;;
            esac
        fi
    done
}

give_up() {
    printf 'setup: %s\n' "$@" >&2
    exit 2
}

# What packages cannot bring is said after they are there.
check_browser() {
    on_macos || ! lacks_browser "$@" && return 0
    give_up "no browser, which tests/report.rs looks at pages with; Ubuntu has none as a package, only as a snap," \
        "which cannot read the pages. Install Google Chrome (google.com/chrome has its .deb), or name a Chromium:" \
        "  export ANTIPHON_CHROMIUM=/path/to/chrome"
}

# What no package brings is made here, once.
make_peers() {
    case " $* " in *" rooms "*)
        have_clients || make_venv python tests/peers/requirements.txt "the Python client of LiveKit"
        have_livekit_server || make_livekit_server
        ;;
    esac
    case " $* " in *" models "*)
        if ! have_models; then
            check_python "the models' clients"
            make_venv models tests/peers/models.txt "OpenAI's Python client and a proxy of models"
        fi
        ;;
    esac
    case " $* " in *" peers "*)
        if ! have_peers; then
            check_python "the frameworks that Antiphon is compared with"
            make_venv bench-peers benches/peers/requirements.txt "livekit-agents, pipecat and the SDK under them"
        fi
        have_livekit_server || make_livekit_server
        ;;
    esac
}

# check_python "for what"
check_python() {
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        give_up "$(python3 --version) is too old for $1, which want 3.11 or newer." \
            "Install a newer one, and have it first in PATH as python3."
}

# What tests of MCP meet: servers from npm, each checked against the hash in the lock file.
have_mcp() { cmp -s "$mcp/package-lock.json" "$mcp/node_modules/made-from.json"; }

make_mcp() {
    case " $* " in *" mcp "*) ;; *) return 0 ;; esac
    ! have_mcp || return 0
    have npm || give_up "no Node.js, whose MCP servers tests talk to." \
        "Install Node.js 20.19 or newer, which brings npm: https://nodejs.org"
    echo "setup: installing MCP servers into tests/peers/mcp/node_modules" >&2
    npm --prefix "$mcp" ci --loglevel=error </dev/null >&2 ||
        give_up "the MCP servers could not be installed; what npm said stands above."
    # Last, so that what was broken off is made anew.
    cp "$mcp/package-lock.json" "$mcp/node_modules/made-from.json"
}

# make_venv python tests/peers/requirements.txt "what it is"
make_venv() {
    local name=$1 requirements=$root/$2 what=$3
    echo "setup: installing $what into .tools/$name" >&2
    rm -rf "${tools:?}/$name"
    mkdir -p "$tools"
    python3 -m venv "$tools/$name" >&2 &&
        "$tools/$name/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
            -r "$requirements" >&2 ||
        give_up "$what could not be installed; what pip said stands above." \
            "To see more, run:  python3 -m pip download -r $2"
    # Last, so that what was broken off is made anew.
    cp "$requirements" "$tools/$name/made-from.txt"
}

make_livekit_server() {
    have go || give_up "no livekit-server, which rooms are on, and no Go to build it with. Either" \
        "install Go (https://go.dev/dl) and run this again, which then runs  go install $livekit_server" \
        "or install livekit-server (https://docs.livekit.io/transport/self-hosting/local)," \
        "or name one:  export LIVEKIT_SERVER=/path/to/livekit-server"
    echo "setup: building livekit-server into .tools/bin; it takes some minutes" >&2
    mkdir -p "$tools/bin"
    GOBIN=$(cd "$tools/bin" && pwd) go install "$livekit_server" >&2 ||
        give_up "livekit-server could not be built; what Go said stands above." \
            "To try again by itself:  go install $livekit_server"
    mv "$tools/bin/server" "$tools/bin/livekit-server"
}

check_cargo() {
    have cargo && return 0
    local home=${CARGO_HOME:-${HOME:-}/.cargo}
    if [ -x "$home/bin/cargo" ]; then
        give_up "cargo is in $home/bin, which is not in PATH." "Put it there:  . \"$home/env\""
    fi
    give_up "cargo, Rust's build tool, is not installed." \
        "Install it:  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh" \
        "or see https://www.rust-lang.org/tools/install, open a new shell, and try again."
}

# apt_install PREFIX PACKAGES: lists may be stale or absent, so they are fetched first; one that cannot be fetched need
# not matter. A second try covers a mirror's hiccup. Another apt on a fresh machine may hold the lock for a while.
apt_install() {
    local prefix=$1 try
    shift
    for try in 1 2; do
        [ "$try" = 1 ] || { echo "setup: apt-get failed; trying once more" && sleep 3; }
        apt_get "$prefix" update || true
        apt_get "$prefix" install -y --no-install-recommends "$@" && return 0
    done </dev/null >&2
    return 1
}

apt_get() {
    local prefix=$1
    shift
    # Nothing, or `sudo -n`.
    # shellcheck disable=SC2086
    $prefix env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 "$@"
}

main() {
    local group
    for group in "$@"; do
        case $group in
            build | speech | test | rooms | sound | models | mcp | peers) ;;
            *) give_up "unknown group \"$group\"; there are: build, speech, test, rooms, sound, models, mcp, peers" ;;
        esac
    done

    check_cargo
    if on_macos; then
        case " $* " in
            *" build "*) have cc || give_up "no C compiler. Install Apple's:  xcode-select --install" ;;
        esac
    fi

    local missing prefix remedy
    missing=$(missing_packages "$@" | tr '\n' ' ')
    missing=${missing% }
    if [ -z "$missing" ]; then
        check_browser "$@"
        make_peers "$@"
        make_mcp "$@"
        return 0
    fi

    if on_macos; then
        give_up "missing: $missing" "Install with Homebrew:  brew install $missing"
    fi
    if ! have apt-get; then
        give_up "missing (by their Debian names): $missing" \
            "There is no apt-get here. Install what your system calls them with its own package manager."
    fi

    remedy="sudo apt-get update && sudo apt-get install --no-install-recommends $missing"
    if [ "$(id -u)" = 0 ]; then
        prefix=
        remedy=${remedy//sudo /}
    elif have sudo && sudo -n true 2>/dev/null; then
        prefix="sudo -n"
    else
        give_up "missing: $missing" "Installing them needs root. Run:  $remedy" \
            "The core's own tests need none of them:  make test-core"
    fi

    echo "setup: installing $missing" >&2
    # One word for each package.
    # shellcheck disable=SC2086
    apt_install "$prefix" $missing || give_up "apt-get could not install: $missing" "To see why, run:  $remedy"

    missing=$(missing_packages "$@" | tr '\n' ' ')
    [ -z "$missing" ] || give_up "apt-get is content, but this is still not found: $missing"
    check_browser "$@"
    make_peers "$@"
    make_mcp "$@"
}

main "$@"
