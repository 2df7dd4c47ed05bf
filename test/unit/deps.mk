# What a unit test links beside common/: TEST_DEPS_<name> := folder/file.o ...
TEST_DEPS_csv := ctl/import_csv.o ctl/import_row.o ctl/json_scan.o
TEST_DEPS_import_row := ctl/import_row.o ctl/import_ndjson.o ctl/json_scan.o
TEST_DEPS_json_scan := ctl/json_scan.o
TEST_DEPS_migrate_plan := ctl/migrate_plan.o
TEST_DEPS_population := ctl/population_model.o ctl/population_names.o
TEST_DEPS_flow   := test/unit/wire_data.o $(patsubst %.c,%.o,$(wildcard worker/flow*.c))
TEST_DEPS_msg    := test/unit/wire_data.o
TEST_DEPS_result := test/unit/wire_data.o
TEST_DEPS_retry  := worker/retry.o
TEST_DEPS_revoked := worker/revoked.o
TEST_DEPS_payload := worker/payload.o worker/number.o
TEST_DEPS_pgcopy  := worker/pgcopy.o
TEST_DEPS_score   := worker/score.o worker/order.o worker/population.o worker/names.o \
                     worker/failures.o
TEST_DEPS_term := ctl/term.o
TEST_DEPS_image := api/image.o api/image_build.o api/image_file.o api/image_load.o
TEST_DEPS_query := api/query.o api/negotiate.o
# The task table knows every task, so all of the worker but its main().
TEST_DEPS_job := $(patsubst %.c,%.o,$(filter-out worker/main.c,$(wildcard worker/*.c)))
TEST_DEPS_cache := api/cache.o api/body.o
TEST_DEPS_envelope := test/unit/wire_data.o
TEST_DEPS_pidbox := test/unit/wire_data.o
TEST_DEPS_turn  := worker/turn.o
TEST_DEPS_pool := $(TEST_DEPS_job)
TEST_DEPS_ctl_opt := ctl/opt.o ctl/ctl.o ctl/term.o ctl/table.o
TEST_DEPS_plan := scheduler/plan.o
