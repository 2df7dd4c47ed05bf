#!/bin/sh
# Writes the migrations as a C table to standard output; the build runs it. Fails unless the files are
# numbered 0001, 0002, ... without a gap.
set -eu
cd "$(dirname "$0")"
printf '/* Made by migrations/embed.sh from the SQL files beside it; do not edit. */\n'
printf '#include "common/schema.h"\n\nconst struct migration SCHEMA_MIGRATIONS[] = {\n'
count=0
for f in [0-9][0-9][0-9][0-9]_*.sql; do
    name=${f%.sql}
    version=$(printf '%s' "$name" | sed 's/_.*//; s/^0*//')
    if [ "$version" -ne $((count + 1)) ]; then
        printf '%s: expected number %04d\n' "$f" $((count + 1)) >&2
        exit 1
    fi
    sum=$(sha256sum "$f" | cut -d' ' -f1)
    printf '    {%s, "%s",\n' "$version" "$name"
    sed 's/\\/\\\\/g; s/"/\\"/g; s/?/\\?/g; s/^/     "/; s/$/\\n"/' "$f"
    printf '     ,"%s"},\n' "$sum"
    count=$((count + 1))
done
printf '};\nconst int SCHEMA_MIGRATION_COUNT = %s;\n' "$count"
