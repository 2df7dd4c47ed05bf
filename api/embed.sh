#!/bin/sh
# Writes the files that the api serves as a C table to standard output; the build runs it, with a
# folder for the compressed forms as its argument. The assembler copies the bytes in, so nothing is
# escaped and nothing is read or compressed at run time.
set -eu
out=$1
cd "$(dirname "$0")/.."
mkdir -p "$out"
files=$(cd api && find openapi.json admin web -type f ! -name '.*' ! -name '*.[ch]' | LC_ALL=C sort)

# What is not smaller by a tenth is sent as it is.
compress() {
    gzip -9nc "api/$1" >"$out/$2.gz"
    [ $(($(wc -c <"$out/$2.gz") * 10)) -lt $(($(wc -c <"api/$1") * 9)) ]
}

# embed LABEL FILE
embed() {
    printf '__asm__(".pushsection .rodata\\n.balign 16\\n%s:\\n.incbin \\"%s\\"\\n"\n' "$1" "$2"
    printf '        "%s_end:\\n.byte 0\\n.popsection\\n");\n' "$1"
    printf 'extern const char %s[], %s_end[];\n' "$1" "$1"
}

printf '/* Made by api/embed.sh from the files it names; do not edit. */\n#include "api/assets.h"\n\n'
n=0
table=
for f in $files; do
    gz='NULL, NULL'
    embed "asset_$n" "api/$f"
    if compress "$f" "$n"; then
        embed "asset_gz_$n" "$out/$n.gz"
        gz="asset_gz_$n, asset_gz_${n}_end"
    fi
    hash=$(sha256sum "api/$f" | cut -c1-16)
    table="$table    {\"$f\", asset_$n, asset_${n}_end, $gz, \"$hash\"},
"
    n=$((n + 1))
done
printf '\nconst struct asset ASSETS[] = {\n%s};\n' "$table"
printf 'const size_t ASSET_COUNT = sizeof ASSETS / sizeof ASSETS[0];\n'
printf 'const char ASSETS_VERSION[] = "%s";\n' "$(printf %s "$table" | sha256sum | cut -c1-10)"
