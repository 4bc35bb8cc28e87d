#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Sourced after lib.sh: an apt of the project's own, with its state in the
# cache folder. From the machine's apt it takes the mirror (or $KDN_MIRROR and
# $KDN_SECURITY_MIRROR) and its network settings, and leaves it as it is.

# shellcheck disable=SC2154 # cache is from lib.sh
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
apt=$cache/apt
apt_options=(
	-o Dir::State="$apt"
	-o Dir::State::status="$apt/status"
	-o Dir::Cache="$apt/cache"
	# A machine set up to be small does without; each call takes seconds then.
	-o Dir::Cache::pkgcache=pkgcache.bin
	-o Dir::Cache::srcpkgcache=srcpkgcache.bin
	-o Dir::Etc::SourceList="$apt/sources.list"
	-o Dir::Etc::SourceParts=/dev/null
	-o Dir::Etc::Preferences=/dev/null
	-o Dir::Etc::PreferencesParts=/dev/null
	-o APT::Architecture=amd64
	-o APT::Architectures::=amd64
	-o APT::Architectures::=arm64
	-o APT::Architectures::=armhf
	-o APT::Architectures::=i386
	-o APT::Architectures::=ppc64el
	-o APT::Architectures::=riscv64
	-o APT::Architectures::=s390x
	-o APT::Sandbox::User=root
	-o Acquire::Languages=none
	-o Acquire::Retries=3
)

apt_get() { apt-get -qq "${apt_options[@]}" "$@"; }
apt_cache() { apt-cache "${apt_options[@]}" "$@"; }

# site REGEX: the first mirror of the machine's apt whose suite fits. What an
# update would fetch tells, even where there has never been one.
site()
{
	apt-get -o Debug::NoLocking=1 --print-uris update |
		sed -En "s,^'(.*)/dists/($1)/main/binary-.*,\1,p" | head -n 1
}

# set_mirrors: set mirror and security_mirror.
set_mirrors()
{
	local codename='(stable|oldstable|testing|sid|bullseye|bookworm|trixie|forky)'

	mirror=${KDN_MIRROR:-$(site "$codename")}
	[ "$mirror" ] || die "no Debian mirror in this machine's apt" \
		"configuration: set KDN_MIRROR to one"
	security_mirror=${KDN_SECURITY_MIRROR:-$(site "$codename-security")}
	: "${security_mirror:=${mirror%/}-security}"
}

# apt_update [NAME...]: fetch the package indexes that the kernels NAME need, or
# those of amd64 in all suites of the list. One that fails is told, and left out.
apt_update()
{
	local suite archs site

	say "fetching the package index"
	set_mirrors
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
	: >"$apt/status"
	(($#)) || set -- all
	# kbuild's programs are of amd64, whatever the kernel is.
	kernel_list | awk -v names=" $* " '
		names == " all " || index(names, " " $1 " ") {
			foreign = names != " all " && $2 != "amd64"
			n = split($3, suites, ",")
			for (i = 1; i <= n; i++) {
				of = archs[suites[i]]
				if (foreign && !index(of ",", "," $2 ","))
					of = of "," $2
				archs[suites[i]] = of
			}
		}
		END { for (suite in archs) print suite, "amd64" archs[suite] }' |
		while read -r suite archs; do
			site=$mirror
			[[ $suite == *-security ]] && site=$security_mirror
			echo "deb [signed-by=$keyring arch=$archs target=Packages]" \
				"$site $suite main"
		done >"$apt/sources.list"
	apt_get update -o APT::Update::Error-Mode=any ||
		say "apt-get update failed, see above; going on with the rest"
}

# fetch DIR PACKAGE...: download packages to DIR; what is there is kept.
fetch()
{
	local dir=$1

	shift
	mkdir -p "$dir"
	(cd "$dir" && apt_get download "$@") ||
		die "could not download $*, see above; try again"
}

# unpack_source PACKAGE DIR ARG...: unpack the kernel source PACKAGE to DIR,
# which is there when all is. ARGs go to tar: what of it.
unpack_source()
{
	local package=$1 dir=$2 debs=$cache/debs/source

	shift 2
	say "fetching and unpacking $package (takes a minute)"
	rm -rf "$debs" "$dir.tmp"
	fetch "$debs" "$package"
	mkdir -p "$dir.tmp"
	dpkg-deb --fsys-tarfile "$debs"/*.deb |
		tar -xO "./usr/src/$package.tar.xz" |
		tar -xJ -C "$dir.tmp" --strip-components=1 "$@" ||
		die "could not unpack $package, see above"
	rm -rf "$debs" "$dir"
	mv -T "$dir.tmp" "$dir"
}
