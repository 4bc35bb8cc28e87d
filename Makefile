# SPDX-License-Identifier: GPL-2.0-only
#
# For people: 'make help' tells what there is. kbuild reads Kbuild instead.

KDIR ?= /lib/modules/$(shell uname -r)/build

modules: kdir
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules

modules_install: kdir
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules_install
	depmod $(if $(INSTALL_MOD_PATH),-b $(INSTALL_MOD_PATH)) \
		$$(cat $(KDIR)/include/config/kernel.release)

# kbuild cleans whole trees: keep it out of the build root's libraries.
clean: kdir
	$(MAKE) -C $(KDIR) M=$(CURDIR) clean \
		RCS_FIND_IGNORE='\( -name .git -o -name .cache \) -prune -o'

# For packages, and for DKMS from here: files below DESTDIR.
version := $(shell sed -n 's/^PACKAGE_VERSION="\(.*\)"$$/\1/p' dkms.conf)
sbindir = /usr/sbin
dkms-dir = $(DESTDIR)/usr/src/kernfs-delete-notify-$(version)
sources = Kbuild dkms.conf $(filter-out module/config.h, \
	$(wildcard module/*.[ch] module/probes/*.c))

install-sources:
	mkdir -p $(dkms-dir)
	cp --parents -t $(dkms-dir) $(sources)
	chmod -R u=rwX,go=rX $(dkms-dir)

install-files: install-sources
	install -D -t $(DESTDIR)$(sbindir) tools/kdn-check
	install -D -m 644 -t $(DESTDIR)/usr/share/man/man4 man/kernfs_delete_notify.4
	install -D -m 644 -t $(DESTDIR)/usr/share/man/man8 man/kdn-check.8

version:
	@echo $(version)

dkms-install dkms-remove: dkms-%:
	@scripts/dkms $*

deb:
	@scripts/deb

check-package:
	@scripts/check-package

check-signed:
	@scripts/check-signed

check-distro:
	@PARTS='$(PARTS)' JOBS='$(JOBS)' scripts/check-distro

kdir:
	@test -f $(KDIR)/Makefile || { echo "No kernel headers in $(KDIR):" \
		"install linux-headers-$$(uname -r), or name theirs with KDIR=" >&2; \
		exit 1; }

check:
	@KERNELS='$(KERNELS)' TESTS='$(TESTS)' APPEND='$(APPEND)' \
		JOBS='$(JOBS)' KERNEL='$(KERNEL)' HEADERS='$(HEADERS)' \
		scripts/check

check-debug:
	@KERNELS='$(KERNELS)' TESTS='$(TESTS)' JOBS='$(JOBS)' scripts/check-debug

# The tests that do more when they are given the time for it.
long-tests = $(basename $(notdir $(shell grep -lw long_run tests/test_*.c)))

check-long:
	@KERNELS='$(or $(KERNELS),6.1 6.12 7.3)' TIMEOUT=14400 JOBS='$(JOBS)' \
		TESTS='$(or $(TESTS),$(long-tests))' \
		APPEND='kdn.long kdn.timeout=7200 $(APPEND)' scripts/check

model:
	@tests/model/check $(STEP)

lint:
	@KERNELS='$(KERNELS)' scripts/lint

conform:
	@KERNELS='$(KERNELS)' KERNEL='$(KERNEL)' HEADERS='$(HEADERS)' \
		scripts/conform

# The README's table of kernels, from the last 'make check'.
readme:
	@scripts/results --readme $(or $(KDN_CACHE),.cache) \
		$$(bash -c '. scripts/lib.sh; kernel_names')

demo:
	@scripts/demo $(or $(KERNEL),6.12)

bench:
	@PARTS='$(PARTS)' CPUS='$(CPUS)' scripts/bench $(KERNELS)

# doc/*.svg, from the last 'make bench' on a kernel.
curves:
	@scripts/curves $(or $(KERNEL),6.12)

# The README's commands for a live system, tried in a VM.
recipes:
	@scripts/recipes $(or $(KERNEL),6.12)

update-kernels:
	@scripts/setup
	@scripts/get --update

distclean:
	rm -rf $(or $(KDN_CACHE),.cache)

help:
	@echo 'For the kernel in KDIR (the running one):'
	@echo '  make                  build the module'
	@echo '  make modules_install  install it, as root, for modprobe'
	@echo '  make clean            remove what was built'
	@echo
	@echo 'For all kernels here, now and later, as root:'
	@echo '  make dkms-install     have DKMS build and install it'
	@echo '  make dkms-remove      and undo that'
	@echo '  make deb              a Debian package that does the same'
	@echo
	@echo "In virtual machines with Debian's kernels (scripts/kernels):"
	@echo "  make check            run all tests on all kernels; a part of them:"
	@echo "                        KERNELS='6.1 6.12' TESTS='test_a test_b'"
	@echo '                        more kernel arguments: APPEND='
	@echo '                        on a kernel of your own: KERNEL=PATH/bzImage'
	@echo '                        HEADERS=PATH/build-tree [ARCH=arm64]'
	@echo '  make check-long       storms and random work, at full length, on some'
	@echo '  make check-debug      run all tests on kernels that look for what is'
	@echo '                        wrong inside; builds them first, some minutes'
	@echo '  make conform          report what kernels tell by themselves, and what'
	@echo "                        the module adds: KERNELS='6.12 7.3', or KERNEL="
	@echo '                        and HEADERS= as above'
	@echo '  make model            check the hand-off in every order of its steps;'
	@echo '                        show what goes wrong without one: STEP=sleep_mb'
	@echo '  make demo             show the module at work on one: KERNEL=6.12'
	@echo '  make bench            measure what the module costs, in instructions, with'
	@echo "                        targets and verdicts; a part: PARTS='removal';"
	@echo '                        in time, on two CPUs, for the ratios: CPUS=2'
	@echo '  make curves           draw what it measured: KERNEL=6.12'
	@echo "  make recipes          try the README's funclatency and bpftrace commands"
	@echo '  make check-package    try the package and kdn-check'
	@echo '  make check-signed     what a kernel that wants signatures takes'
	@echo '  make check-distro     try the package and real clients in whole Debian'
	@echo "                        guests; a part: PARTS='trixie clients'"
	@echo '  make lint             checkpatch, sparse, shellcheck'
	@echo '  make update-kernels   take the newest packages of the kernels'
	@echo '  make distclean        remove all that these have made (.cache)'

.PHONY: modules modules_install clean install-sources install-files version \
	dkms-install dkms-remove deb check-package check-signed check-distro kdir \
	check check-debug check-long conform \
	model readme lint demo bench curves recipes update-kernels distclean help
