#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Sourced by the scripts here and below: messages, paths, the kernel list, and how
# to run a command in the build root.
#
# All that the scripts make is in the cache folder, .cache or $KDN_CACHE:
#
#   root/          the build root, a small Debian with compiler and QEMU
#   root-forky/    another, with a newer compiler
#   root-A/        others, with cross compiler and QEMU for architecture A
#   root-clang/    another, with clang
#   root-package/  another, with DKMS and what builds and checks packages
#   root-bench/    another, with gnuplot, funclatency and bpftrace
#   root-distro/   another, that makes disk images, with a Go compiler
#   distro/        whole Debian guests: SUITE/ has what scripts/guest/image makes, and
#                  beside it is what the last check-distro left
#   source/        of the newest kernel source: checkpatch, some of its tests
#   kernels/NAME/  a kernel: vmlinuz, release, version, arch, compiler, and its
#                  headers; or, with a file 'headers' that names their place,
#                  one that scripts/guest/own took
#   linux-source*  kernel sources; built/ has the kernels made of them
#   build/NAME/    where the modules are built for it
#   out/NAME/      the built modules, and what the last boot left
#   out/tests-A/   the test programs and the guest's init, for architecture A
#   out/deb/       the Debian package
#   log/           what the builds of the last check printed

set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mkdir -p "${KDN_CACHE:=$top/.cache}"
cache=$(cd "$KDN_CACHE" && pwd)
root=$cache/root

say() { echo "== $*"; }
die() { echo "${0##*/}: $*" >&2; exit 1; }

# lock NAME: until this process ends, nobody else gets past the lock NAME.
lock()
{
	local fd

	exec {fd}>"$cache/$1.lock"
	flock -n "$fd" && return
	say "waiting for another ${0##*/} to finish (lock: $cache/$1.lock)"
	flock "$fd"
}

kernel_list() { sed 's/#.*//; /^[[:space:]]*$/d' "$top/scripts/kernels"; }
kernel_names() { kernel_list | awk '{ print $1 }'; }

# find_kernel NAME: set arch, suites, pattern, image, compiler, native, skips, disk
# and ci to the fields of its line. Of a kernel that scripts/guest/own took nothing is
# expected.
find_kernel()
{
	local line

	# shellcheck disable=SC2034 # for the caller
	if [ -f "$cache/kernels/$1/headers" ]; then
		arch=$(cat "$cache/kernels/$1/arch") native='' skips='' disk=''
		return
	fi
	line=$(kernel_list | awk -v name="$1" '$1 == name')
	[ "$line" ] || die "no kernel '$1' in scripts/kernels, only:" \
		"$(kernel_names | xargs)"
	# shellcheck disable=SC2034 # for the caller
	read -r _ arch suites pattern image compiler native skips disk ci <<<"$line"
}

# set_arch ARCH: set karch and triplet to what the kernel and the compiler call
# Debian's architecture ARCH, and root to the build root with its compiler and its
# QEMU.
# shellcheck disable=SC2034 # for the caller
set_arch()
{
	case $1 in
	amd64) karch=x86 triplet=x86_64-linux-gnu ;;
	arm64) karch=arm64 triplet=aarch64-linux-gnu ;;
	armhf) karch=arm triplet=arm-linux-gnueabihf ;;
	i386) karch=i386 triplet=i686-linux-gnu ;;
	ppc64el) karch=powerpc triplet=powerpc64le-linux-gnu ;;
	riscv64) karch=riscv triplet=riscv64-linux-gnu ;;
	s390x) karch=s390 triplet=s390x-linux-gnu ;;
	*) die "the architecture '$1' is not known here" ;;
	esac
	root=$cache/root
	[[ $1 == a*64 ]] || root+=-$1
}

# choose_kernels: set kernels to those that the user named in KERNELS, where 'ci' is
# those that .ci/run takes, or to all of the list; or to 'own', if it was KERNEL and
# HEADERS that were named.
# shellcheck disable=SC2034 # for the caller
choose_kernels()
{
	if [ "${KERNEL-}${HEADERS-}" ]; then
		"$top/scripts/guest/own" "${KERNEL-}" "${HEADERS-}"
		kernels=(own)
	elif [ "${KERNELS-}" = ci ]; then
		mapfile -t kernels < <(kernel_list | awk '$NF == "yes" { print $1 }')
	else
		read -ra kernels <<<"${KERNELS:-$(kernel_names | xargs)}"
	fi
}

# set_compiler ARCH COMPILER: set compiler to what make needs to be told, and root
# to the build root that has it.
# shellcheck disable=SC2034 # for the caller
set_compiler()
{
	set_arch "$1"
	compiler=(CC="$2")
	[ "$1" = amd64 ] || compiler=(ARCH="$karch" CROSS_COMPILE="$triplet-"
				      CC="$triplet-$2")
	case $2 in
	gcc-16)
		root=$cache/root-forky ;;
	clang-*)
		root=$cache/root-clang
		compiler=(ARCH="$karch" LLVM=1) ;;
	esac
}

# counted COMMAND...: run it, and add the counts of its last line, 'N passed, N
# failed, N skipped', to passed, failed and skipped. One that did not come so far
# has failed, and so has one that says so.
counted()
{
	local log status=0 line p f s

	log=$(mktemp)
	"$@" 2>&1 | tee "$log" || status=1
	line=$(sed -nE \
		's/^([0-9]+) passed, ([0-9]+) failed(, ([0-9]+) skipped)?$/\1 \2 \4/p' \
		"$log" | tail -n 1)
	rm -f "$log"
	read -r p f s <<<"${line:-0 1}"
	((f || !status)) || f=1
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + ${s:-0}))
}

# in_root [DIR MOUNTPOINT]... -- CMD...: run CMD in the build root, with each
# DIR bound to its MOUNTPOINT there, and a /tmp of its own: make names a file
# there after its process ID, which is the same in each namespace. The mounts
# end with CMD, and CMD with us.
in_root()
{
	local userns=()

	((EUID == 0)) || userns=(--map-root-user)
	# shellcheck disable=SC2016 # for the inner shell to expand
	setpriv --pdeathsig KILL unshare "${userns[@]}" --mount --pid --fork --kill-child \
		--mount-proc="$root/proc" bash -euc '
		root=$1 && shift
		mount --rbind /dev "$root/dev"
		mount -t tmpfs tmpfs "$root/tmp"
		while [ "$1" != -- ]; do
			mkdir -p "$root$2"
			mount --bind "$1" "$root$2"
			shift 2
		done
		shift
		exec chroot "$root" env -i HOME=/ LC_ALL=C.UTF-8 \
			PATH=/usr/sbin:/usr/bin "$@"
	' in_root "$root" "$@"
}

# wait_while_heard NAME PID SECONDS FILE...: wait for the end of a guest, a process of
# this shell. Says so and fails as soon as none of the files has been written to for
# so long: how long a guest takes is up to the machine, but one that hangs writes
# nothing.
wait_while_heard()
{
	local name=$1 pid=$2 silence=$3
	shift 3

	until timeout 10 tail --pid="$pid" -f /dev/null; do
		[ "$(find "$@" -newermt "$silence seconds ago")" ] && continue
		say "$name: the guest has written nothing for $silence s, ending it"
		return 1
	done
}
