#!/bin/sh
# Random calls of the compiled filter under the compiler's sanitizers: memory and undefined
# behaviour first, then races between concurrent calls. Some minutes on two processors.
set -eu

cd "$(dirname "$0")/../.."
calls=${1:-20000}
build=${BUILD:-build/fuzz}
compiler=${CXX:-g++}

# build_fuzzer NAME FLAGS
build_fuzzer() {
    mkdir -p "$build/$1"
    pids=
    for source in tests/fuzz/fuzz_filter csrc/instruction_sets/baseline \
        csrc/instruction_sets/avx2 csrc/instruction_sets/avx512 csrc/parallel csrc/memory \
        csrc/processor_time; do
        # shellcheck disable=SC2086  # the flags are several words
        $compiler -std=c++17 -O1 -g1 -ffp-contract=off -Wall -Wextra -Werror $2 -fno-sanitize-recover=all \
            -c "$source.cpp" -o "$build/$1/$(basename "$source").o" &
        pids="$pids $!"
    done
    for pid in $pids; do wait "$pid"; done
    # shellcheck disable=SC2086
    $compiler $2 -pthread "$build/$1"/*.o -o "$build/$1/fuzz_filter"
}

echo 'AddressSanitizer and UndefinedBehaviorSanitizer'
build_fuzzer memory '-fsanitize=address,undefined'
"$build/memory/fuzz_filter" "$calls" 2

echo 'ThreadSanitizer'
build_fuzzer threads -fsanitize=thread
"$build/threads/fuzz_filter" "$((calls / 10))" 4
