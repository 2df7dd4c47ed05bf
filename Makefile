# make [BUILD=debug|release|asan] [CC=gcc|clang-14] [WERROR=1]
#
#   make              the four programs, in build/bin (links to build/$(BUILD)/bin)
#   make check        unit and integration tests          make unit / make integration
#   make bench        the benchmark table                  make soak    long storms
#   make fuzz         every fuzz target for FUZZ_SECONDS   make format / format-check
#   make install      DESTDIR and PREFIX are heeded

BUILD  ?= debug
CC     := $(if $(filter default,$(origin CC)),gcc,$(CC))
PREFIX ?= /usr/local
OUT    := build/$(BUILD)

IS_CLANG := $(findstring clang,$(CC))

CPPFLAGS += -I. -D_GNU_SOURCE $(shell pkg-config --cflags libpq)
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
        -Wpointer-arith -Wcast-qual -Wwrite-strings -Wformat=2 -Wundef -Wvla -Walloca \
        -Wredundant-decls
ifeq ($(IS_CLANG),)
WARN += -Wimplicit-fallthrough=5 -Wformat-truncation=1 -Wlogical-op -Wduplicated-cond \
        -Wjump-misses-init
endif
CFLAGS_ALL := -std=c11 -g3 -fno-omit-frame-pointer -fno-common -ffp-contract=off $(WARN) \
              $(if $(WERROR),-Werror)
CFLAGS_debug   := -O1
CFLAGS_release := -O2 -D_FORTIFY_SOURCE=3 -fPIE -fstack-protector-strong -fstack-clash-protection \
                  $(if $(filter x86_64,$(shell uname -m)),-fcf-protection) \
                  $(if $(IS_CLANG),,-ftrivial-auto-var-init=zero)
LDFLAGS_release := -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed
CFLAGS_asan    := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all
LDFLAGS_asan   := -fsanitize=address,undefined

compile = $(CC) $(CPPFLAGS) $(CFLAGS_ALL) $(CFLAGS_$(BUILD)) $(CFLAGS)
link    = $(CC) $(CFLAGS_$(BUILD)) $(LDFLAGS_$(BUILD)) $(LDFLAGS)

LIBS := -lpq -lhiredis -lcjson -lz -lbz2 -lcrypto -lm -lpthread

obj = $(patsubst %.c,$(OUT)/%.o,$(wildcard $(1)))

COMMON  := $(call obj,common/*.c) $(OUT)/gen/migrations.o
PROGRAMS := aion2-worker aion2-beat aion2-api aion2ctl
BINS    := $(PROGRAMS:%=$(OUT)/bin/%)

.PHONY: all tools unit integration check bench soak fuzz format format-check install clean help FORCE
all: $(BINS)
	@rm -rf build/bin && ln -sfn $(BUILD)/bin build/bin

$(OUT)/libcommon.a: $(COMMON)
	@rm -f $@
	@ar rcs $@ $^

$(OUT)/bin/aion2-worker: $(call obj,worker/*.c) $(OUT)/libcommon.a
	@mkdir -p $(@D)
	@echo "  LD  $@"
	@$(link) -o $@ $^ -levent_core -levent_extra -lcurl -lsystemd $(LIBS)
$(OUT)/bin/aion2-beat: $(call obj,scheduler/*.c) $(OUT)/libcommon.a
	@mkdir -p $(@D)
	@echo "  LD  $@"
	@$(link) -o $@ $^ -levent_core -levent_extra -lcurl -lsystemd $(LIBS)
$(OUT)/bin/aion2-api: $(call obj,api/*.c) $(call obj,api/admin/*.c) $(OUT)/gen/assets.o $(OUT)/libcommon.a
	@mkdir -p $(@D)
	@echo "  LD  $@"
	@$(link) -o $@ $^ -levent_core -levent_extra -lcurl -lsystemd $(LIBS)
$(OUT)/bin/aion2ctl: $(call obj,ctl/*.c) $(OUT)/libcommon.a
	@mkdir -p $(@D)
	@echo "  LD  $@"
	@$(link) -o $@ $^ $(LIBS)

$(OUT)/%.o: %.c $(OUT)/flags
	@mkdir -p $(@D)
	@echo "  CC  $<"
	@$(compile) -MMD -MP -c -o $@ $<
$(OUT)/gen/migrations.c: migrations/embed.sh $(wildcard migrations/*.sql)
	@mkdir -p $(@D)
	sh migrations/embed.sh >$@.new && mv $@.new $@
ASSETS := $(shell find api/openapi.json api/admin api/web -type f -not -name '*.[ch]' 2>/dev/null)
$(OUT)/gen/assets.c: api/embed.sh $(ASSETS)
	@mkdir -p $(@D)
	sh api/embed.sh $(@D)/web >$@.new && mv $@.new $@
$(OUT)/gen/%.o: $(OUT)/gen/%.c $(OUT)/flags
	@$(compile) -Wno-overlength-strings -MMD -MP -c -o $@ $<
# A change of flags or compiler rebuilds everything; -Werror changes nothing of what is built.
$(OUT)/flags: FORCE
	@mkdir -p $(@D); echo '$(filter-out -Werror,$(compile) $(link))' | cmp -s - $@ || \
	  echo '$(filter-out -Werror,$(compile) $(link))' >$@

# Unit tests: one cmocka program per test/unit/test_X.c. A test names what it needs beside
# common/ in TEST_DEPS_X.
UNIT_SRC  := $(wildcard test/unit/test_*.c)
UNIT_BINS := $(UNIT_SRC:test/unit/%.c=$(OUT)/test/%)
include test/unit/deps.mk
.SECONDEXPANSION:
$(UNIT_BINS): $(OUT)/test/%: $(OUT)/test/unit/%.o $$(addprefix $(OUT)/,$$(TEST_DEPS_$$(subst test_,,$$(@F)))) $(OUT)/libcommon.a
	@mkdir -p $(@D)
	@echo "  LD  $@"
	@$(link) -o $@ $^ -lcmocka -lsystemd -levent_core -levent_extra -lcurl $(LIBS)
# An allocation that is refused must come back as NULL under ASan too.
unit: export ASAN_OPTIONS = allocator_may_return_null=1
unit: $(UNIT_BINS)
	@set -e; for t in $(UNIT_BINS); do echo "== $$(basename $$t)"; $$t; done

# What integration tests look at parts of common/ with.
TOOLS := $(OUT)/bin/source_probe
tools: $(TOOLS)
$(OUT)/bin/source_probe: $(OUT)/test/integration/source_probe.o $(OUT)/libcommon.a
	@mkdir -p $(@D)
	@echo "  LD  $@"
	@$(link) -o $@ $^ -levent_core -lcurl $(LIBS)

PYTEST ?= /usr/bin/python3 -m pytest
integration soak: export AION2_BIN = $(CURDIR)/$(OUT)/bin
integration: all tools
	$(PYTEST) -q test/integration test/browser $(PYTEST_ARGS)

check: unit integration
bench:
	/usr/bin/python3 test/bench/bench.py $(BENCH_ARGS)
soak: all tools
	AION2_SOAK=1 $(PYTEST) -q test/integration -m soak $(PYTEST_ARGS)

# Fuzz targets: test/fuzz/fuzz_X.c with LLVMFuzzerTestOneInput; FUZZ_DEPS_X in test/fuzz/deps.mk.
FUZZ_SECONDS ?= 60
FUZZ_CC      ?= clang-14
FUZZ_COMMON  := $(wildcard common/*.c)
FUZZ_NAMES   := $(patsubst test/fuzz/%.c,%,$(wildcard test/fuzz/fuzz_*.c))
include test/fuzz/deps.mk
fuzz:
	@set -e; mkdir -p build/fuzz; $(MAKE) -s $(OUT)/gen/migrations.c; \
	for f in $(FUZZ_NAMES); do $(MAKE) -s build/fuzz/$$f; mkdir -p build/fuzz/corpus/$$f; \
	  echo "== $$f"; build/fuzz/$$f -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 \
	    build/fuzz/corpus/$$f $$(ls -d test/fuzz/corpus/$$f 2>/dev/null); done
build/fuzz/%: test/fuzz/%.c FORCE
	@mkdir -p build/fuzz
	$(FUZZ_CC) $(CPPFLAGS) -std=c11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
	  -ffp-contract=off -o $@ $< $(FUZZ_DEPS_$(patsubst fuzz_%,%,$*)) $(FUZZ_COMMON) $(OUT)/gen/migrations.c -lsystemd -levent_core -levent_extra -lcurl $(LIBS)

SOURCES := $(wildcard common/*.[ch] worker/*.[ch] scheduler/*.[ch] api/*.[ch] api/admin/*.[ch] ctl/*.[ch] \
             test/unit/*.[ch] test/fuzz/*.[ch] test/integration/*.[ch])
format:
	clang-format-14 -i $(SOURCES)
format-check:
	clang-format-14 --dry-run -Werror $(SOURCES)

install: all
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 0755 $(BINS) $(DESTDIR)$(PREFIX)/bin
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	$(OUT)/bin/aion2ctl completion bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/aion2ctl
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/lib/sysusers.d
	for unit in packaging/systemd/*.service packaging/systemd/*.target; do \
	  sed 's#/usr/local/#$(PREFIX)/#' $$unit >$(DESTDIR)$(PREFIX)/lib/systemd/system/$${unit##*/} || exit 1; done
	install -m 0644 packaging/systemd/aion2rank.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/aion2rank.conf
	install -d $(DESTDIR)$(PREFIX)/share/aion2rank/prometheus $(DESTDIR)$(PREFIX)/share/aion2rank/grafana \
	  $(DESTDIR)$(PREFIX)/share/doc/aion2rank
	install -m 0644 packaging/systemd/aion2rank.env $(DESTDIR)$(PREFIX)/share/aion2rank
	install -m 0644 packaging/prometheus/*.yml $(DESTDIR)$(PREFIX)/share/aion2rank/prometheus
	install -m 0644 packaging/grafana/*.json $(DESTDIR)$(PREFIX)/share/aion2rank/grafana
	install -m 0644 README.md CHANGELOG.md $(wildcard docs/*.md) $(DESTDIR)$(PREFIX)/share/doc/aion2rank

clean:
	rm -rf build

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -9

-include $(shell find $(OUT) -name '*.d' 2>/dev/null)
