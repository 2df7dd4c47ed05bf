# What a fuzz target compiles beside common/: FUZZ_DEPS_<name> := folder/file.c ...
FUZZ_DEPS_csv := ctl/import_csv.c ctl/import_row.c ctl/json_scan.c
FUZZ_DEPS_ndjson := ctl/import_ndjson.c ctl/import_row.c ctl/json_scan.c
FUZZ_DEPS_payload := worker/payload.c worker/number.c
FUZZ_DEPS_pgcopy  := worker/pgcopy.c
FUZZ_DEPS_image := api/image.c
FUZZ_DEPS_query := api/query.c api/negotiate.c
FUZZ_DEPS_term := ctl/term.c
