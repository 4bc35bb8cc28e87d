# SPDX-License-Identifier: GPL-2.0-only
#
# For people: 'make help' lists the targets. kbuild reads Kbuild instead.

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
	@KERNELS='$(or $(KERNELS),6.1 6.12 7.3)' SILENCE=4000 JOBS='$(JOBS)' \
		TESTS='$(or $(TESTS),$(long-tests))' \
		APPEND='kdn.long kdn.timeout=7200 $(APPEND)' scripts/check

model:
	@tests/model/check $(STEP)

lint:
	@KERNELS='$(KERNELS)' scripts/lint

conform:
	@KERNELS='$(KERNELS)' KERNEL='$(KERNEL)' HEADERS='$(HEADERS)' \
		scripts/conform

# The table in doc/kernels.md, from the last 'make check'.
kernels-table:
	@scripts/judge/results --page $(or $(KDN_CACHE),.cache) \
		$$(bash -c '. scripts/lib.sh; kernel_names')

symbols:
	@KERNELS='$(KERNELS)' KERNEL='$(KERNEL)' HEADERS='$(HEADERS)' \
		scripts/symbols

demo:
	@scripts/demo $(or $(KERNEL),6.12)

bench:
	@PARTS='$(PARTS)' CPUS='$(CPUS)' scripts/bench $(KERNELS)

# doc/*.svg, from the last 'make bench' on a kernel.
curves:
	@scripts/judge/curves $(or $(KERNEL),6.12)

# The commands for a live system in doc/operating.md, tried in a VM.
recipes:
	@scripts/recipes $(or $(KERNEL),6.12)

update-kernels:
	@scripts/guest/setup
	@scripts/guest/get --update

distclean:
	rm -rf $(or $(KDN_CACHE),.cache)

help:
	@echo 'For the running kernel, or the one whose headers are in KDIR:'
	@echo '  make                  build the module'
	@echo '  make modules_install  install it for modprobe, as root'
	@echo '  make clean            remove what was built'
	@echo
	@echo 'For all installed kernels and later ones, as root:'
	@echo '  make dkms-install     have DKMS build and install the module'
	@echo '  make dkms-remove      undo that'
	@echo '  make deb              build a Debian package that does the same'
	@echo
	@echo "In virtual machines, on Debian's kernels (scripts/kernels):"
	@echo '  make demo             show the module at work: KERNEL=6.12'
	@echo '  make check            run all tests on all kernels. A part of them:'
	@echo "                        KERNELS='6.1 6.12' TESTS='test_a test_b:x'"
	@echo '                        More arguments for the kernel: APPEND='
	@echo '                        On a kernel of your own: KERNEL=PATH/bzImage'
	@echo '                        HEADERS=PATH/build-tree [ARCH=arm64]'
	@echo '  make check-long       run storms and random work at full length'
	@echo '  make check-debug      run all tests on kernels that look for bugs'
	@echo '                        inside; builds them first, some minutes each'
	@echo '  make check-package    test the package, DKMS and kdn-check'
	@echo '  make check-signed     test a kernel that wants signed modules'
	@echo '  make check-distro     test the package and real clients in whole'
	@echo "                        Debian guests: PARTS='trixie clients'"
	@echo '  make conform          report what kernels tell by themselves and what'
	@echo "                        the module adds: KERNELS='6.12 7.3', or KERNEL="
	@echo '                        and HEADERS= as above'
	@echo '  make symbols          list the symbols that the module needs, for kernels'
	@echo "                        that export what is on a list: KERNELS='6.12'"
	@echo '  make bench            measure what the module costs, in instructions,'
	@echo "                        against targets: KERNELS=6.12 PARTS='removal';"
	@echo '                        CPUS=2 measures times on two CPUs instead'
	@echo '  make recipes          test the commands in doc/operating.md that'
	@echo '                        measure on a live system'
	@echo
	@echo 'On this machine:'
	@echo '  make lint             checkpatch, sparse, shellcheck, the pages'
	@echo '  make model            check the hand-off in every order of its steps;'
	@echo '                        STEP=sleep_mb shows what goes wrong without one'
	@echo "  make kernels-table    write doc/kernels.md's table from the last check"
	@echo "  make curves           draw doc/*.svg from the last bench: KERNEL=6.12"
	@echo '  make update-kernels   fetch the newest packages of the kernels'
	@echo '  make distclean        remove all that these have made (.cache)'

.PHONY: modules modules_install clean install-sources install-files version \
	dkms-install dkms-remove deb check-package check-signed check-distro kdir \
	check check-debug check-long conform symbols \
	model kernels-table lint demo bench curves recipes update-kernels distclean help
