#!/bin/sh
# Writes the files that the api serves as a C table to standard output; the build runs it. The
# assembler copies the bytes in, so nothing is escaped and nothing is read at run time.
set -eu
cd "$(dirname "$0")"
files=$(find openapi.json admin web -type f ! -name '.*' ! -name '*.[ch]' 2>/dev/null | LC_ALL=C sort)
printf '/* Made by api/embed.sh from the files it names; do not edit. */\n#include "api/assets.h"\n\n'
n=0
for f in $files; do
    printf '__asm__(".pushsection .rodata\\n.balign 16\\nasset_%s:\\n.incbin \\"api/%s\\"\\n"\n' "$n" "$f"
    printf '        "asset_%s_end:\\n.byte 0\\n.popsection\\n");\n' "$n"
    printf 'extern const char asset_%s[], asset_%s_end[];\n' "$n" "$n"
    n=$((n + 1))
done
printf '\nconst struct asset ASSETS[] = {\n'
n=0
for f in $files; do
    printf '    {"%s", asset_%s, asset_%s_end},\n' "$f" "$n" "$n"
    n=$((n + 1))
done
printf '};\nconst size_t ASSET_COUNT = sizeof ASSETS / sizeof ASSETS[0];\n'
