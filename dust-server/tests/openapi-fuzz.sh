#!/usr/bin/env bash
# Sends the real server what its own OpenAPI document allows, and what it does not: no answer may be a failure of the server,
# and each must be one that the document has. The default takes about a minute; `openapi-fuzz.sh long` some ten.
# Needs python3; schemathesis is installed into the target folder if it is not there.
set -euo pipefail
cd "$(dirname "$0")/../.."

mode=${1:-short}
seed=${2:-1}
case $mode in
short) limits=(--phases examples,coverage,fuzzing --max-examples 25 --max-time 60) ;;
long) limits=(--phases examples,coverage,fuzzing,stateful --max-examples 1000 --max-time 600) ;;
*)
    echo "usage: $0 [short|long] [SEED]" >&2
    exit 2
    ;;
esac

target=${CARGO_TARGET_DIR:-target}
version=4.32.5
fuzzer=$(command -v schemathesis || true)
if [[ -z $fuzzer ]]; then
    venv=$target/schemathesis-$version
    if [[ ! -x $venv/bin/schemathesis ]]; then
        if ! python3 -m venv "$venv" 2>/dev/null; then
            apt-get update -qq
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv
            python3 -m venv "$venv"
        fi
        "$venv/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$version"
    fi
    fuzzer=$venv/bin/schemathesis
fi

cargo build --quiet --locked -p dust-server --bin dust
folder=$(mktemp -d)
server=
cleanup() {
    [[ -z $server ]] || kill "$server" 2>/dev/null || true
    [[ -z $server ]] || wait "$server" 2>/dev/null || true
    rm -rf "$folder"
}
trap cleanup EXIT

mkfifo "$folder/out"
RUST_LOG=${RUST_LOG:-warn} "$target/debug/dust" serve --data "$folder/data" --listen 127.0.0.1:0 --no-rate-limit \
    >"$folder/out" 2>"$folder/log" &
server=$!
exec 3<"$folder/out"
token= url=
while [[ -z $url ]] && read -r -u 3 line; do
    case $line in
    "token "*) token=${line#token } ;;
    "listening on "*) url=${line#listening on } ;;
    esac
done
if [[ -z $url || -z $token ]]; then
    echo "the server did not start" >&2
    cat "$folder/log" >&2
    exit 1
fi

# A value that the document allows may be refused for what a schema cannot say, such as a condition that does not hold; fields that
# no route reads are not looked at, as in the original. A method that a route does not have is answered 404, as there.
checks=(--checks all --exclude-checks positive_data_acceptance,negative_data_rejection,unsupported_method,allow_header_conformance)
fuzz() {
    (cd "$folder" && "$fuzzer" --no-color run "$url/openapi.json" --header "Authorization: Bearer $token" "${checks[@]}" \
        --seed "$seed" --generation-database none --continue-on-failure --warnings off --request-timeout 10 "$@")
}
fuzzer=$(realpath "$fuzzer")
# Read from the folder that it runs in. A receiver of webhooks that is not reached is no failure of the server.
cat >"$folder/schemathesis.toml" <<'TOML'
[[operations]]
include-operation-id = "ping_webhook"
checks.not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "502"]
TOML

# What archives the store would leave nothing for the rest.
fuzz --exclude-operation-id archive_store "${limits[@]}"
fuzz --include-operation-id archive_store --phases examples,coverage

if ! kill -0 "$server" 2>/dev/null; then
    echo "the server is gone" >&2
    cat "$folder/log" >&2
    exit 1
fi
if grep -E "panicked|ERROR" "$folder/log"; then
    echo "the server logged a failure" >&2
    exit 1
fi
