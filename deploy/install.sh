#!/bin/sh
# Installs, upgrades and uninstalls Inferscope on this host: the binary, its user, its configuration, its service.
#
# It comes up healthy or everything is as it was before. It never changes a configuration that is there, and it installs
# nothing else: no package, no repository. POSIX sh and coreutils only.
set -eu

BINARY=/usr/local/bin/inferscope
UNIT=/etc/systemd/system/inferscope.service
CONFIG_FOLDER=/etc/inferscope
CONFIG=$CONFIG_FOLDER/inferscope.yaml
LOGS=/var/log/inferscope
# What the version before was made of, until its successor is healthy; and the package of the version that runs.
KEPT=/var/cache/inferscope
ACCOUNT=inferscope
SERVICE=inferscope.service
# Seconds until a started agent must be healthy, and for how long it must stay so.
PATIENCE=60
PROOF=3

MODE=install
PURGE=
DRY_RUN=
FROM=
SCRATCH=

usage() {
	cat <<-'END'
		Installs Inferscope on this host, starts it, and says what it sees.

		Usage:
		  install.sh                       from the folder that this script lies in: an unpacked release, or a
		                                   checkout in which `cargo xtask build --release` has run
		  install.sh --from PATH           from a release (.tar.gz), a package (.deb, .rpm) or such a folder
		  install.sh --upgrade             as above, but only where it is installed already
		  install.sh --uninstall           takes away everything but the configuration and request logs
		  install.sh --uninstall --purge   takes away these and the user, too
		  install.sh --dry-run …           prints every step of the above and takes none

		A new version must answer `inferscope health` within a minute, and still do so three seconds later. Else
		the one before is put back and started, and this script fails.

		What it installs:
		  /usr/local/bin/inferscope                  the agent (packages: /usr/bin)
		  /etc/inferscope/inferscope.yaml            its configuration, if there is none yet
		  /etc/systemd/system/inferscope.service     its service (packages: /usr/lib/systemd/system)
		  the system user inferscope                 who it runs as, with the capabilities that the service lists

		Without systemd the files are installed all the same, and it prints how to run them.

		Exit codes:
		  0  done; the agent is healthy, or there is no systemd to start it
		  1  something failed; the last lines say what, and what is installed now
		  2  the arguments are wrong; nothing was done
	END
}

say() { printf '%s\n' "$*"; }
fail() {
	printf 'install.sh: %s\n' "$*" >&2
	exit 1
}
wrong() {
	printf 'install.sh: %s\nTry install.sh --help.\n' "$*" >&2
	exit 2
}

# step WORDS COMMAND…: says what is done and does it, or, in a dry run, says how it would be done.
step() {
	say "- $1"
	shift
	if [ -n "$DRY_RUN" ]; then
		say "    $*"
		return 0
	fi
	"$@"
}

parse() {
	while [ $# -gt 0 ]; do
		case $1 in
		--help | -h) usage && exit 0 ;;
		--dry-run) DRY_RUN=1 ;;
		--upgrade | --uninstall)
			[ "$MODE" = install ] || wrong "$1 and --$MODE exclude each other"
			MODE=${1#--}
			;;
		--purge) PURGE=1 ;;
		--from)
			[ $# -gt 1 ] || wrong "--from needs a path"
			FROM=$2
			shift
			;;
		*) wrong "there is no option $1" ;;
		esac
		shift
	done
	[ -z "$PURGE" ] || [ "$MODE" = uninstall ] || wrong "--purge goes with --uninstall only"
	[ -z "$FROM" ] || [ "$MODE" != uninstall ] || wrong "--uninstall takes nothing --from anywhere"
}

has_systemd() { [ -d /run/systemd/system ] && command -v systemctl >/dev/null; }

# The package manager that has installed it, if one has.
packaged_by() {
	if command -v dpkg-query >/dev/null && dpkg-query -W -f '${db:Status-Status}\n' inferscope 2>/dev/null | grep -qx installed; then
		echo dpkg
	elif command -v rpm >/dev/null && rpm -q inferscope >/dev/null 2>&1; then
		echo rpm
	fi
}

# What to install from: a folder (sets NEW_BINARY, NEW_CONFIG, NEW_UNIT) or a package (sets PACKAGE).
PACKAGE=
find_source() {
	here=$(cd "$(dirname "$0")" && pwd)
	if [ -z "$FROM" ] && [ -f "$here/inferscope" ]; then
		FROM=$here
	elif [ -z "$FROM" ]; then
		FROM=$(dirname "$here")
	fi
	[ -e "$FROM" ] || fail "there is no $FROM"
	case $FROM in
	*.deb | *.rpm)
		checksum_beside "$FROM"
		PACKAGE=$FROM
		return
		;;
	*.tar.gz | *.tgz)
		checksum_beside "$FROM"
		tar -xzf "$FROM" -C "$SCRATCH"
		FROM=$(find "$SCRATCH" -mindepth 1 -maxdepth 1 -type d)
		;;
	esac
	if [ -f "$FROM/inferscope" ]; then
		(cd "$FROM" && sha256sum --check --quiet SHA256SUMS) || fail "$FROM is damaged: fetch it again"
		NEW_BINARY=$FROM/inferscope NEW_CONFIG=$FROM/inferscope.yaml NEW_UNIT=$FROM/inferscope.service
	elif [ -f "$FROM/deploy/systemd/$SERVICE" ]; then
		NEW_BINARY=$FROM/target/release/inferscope
		NEW_CONFIG=$FROM/config/inferscope.yaml NEW_UNIT=$FROM/deploy/systemd/$SERVICE
		[ -f "$NEW_BINARY" ] || fail "there is no $NEW_BINARY: run \`cargo xtask build --release\` first"
	else
		fail "$FROM is neither a release nor a checkout"
	fi
}

# A release's list of checksums, where it lies beside the file.
checksum_beside() {
	list=$(dirname "$1")/SHA256SUMS
	[ -f "$list" ] || return 0
	(cd "$(dirname "$1")" && sha256sum --check --quiet --ignore-missing SHA256SUMS) || fail "$1 is damaged: fetch it again"
}

# Whether the new agent starts on this host and takes the configuration that is there: found out before anything changes.
try_binary() {
	"$1" --version >/dev/null || fail "$1 does not run on this host; nothing was changed"
	[ -f "$CONFIG" ] || return 0
	"$1" config --config "$CONFIG" >/dev/null ||
		fail "the new version does not take $CONFIG (above); nothing was changed"
}

add_account() {
	if ! getent group "$ACCOUNT" >/dev/null; then
		step "add the group $ACCOUNT" groupadd --system "$ACCOUNT"
	fi
	if ! getent passwd "$ACCOUNT" >/dev/null; then
		step "add the user $ACCOUNT" useradd --system --gid "$ACCOUNT" --home-dir /nonexistent --no-create-home \
			--shell /usr/sbin/nologin --comment "Inferscope agent" "$ACCOUNT"
	fi
}

# Puts a file in place in one move, so that a running program can be replaced and a crash leaves one or the other.
place() {
	install -m "$1" "$2" "$3.new" && mv -f "$3.new" "$3"
}

add_config() {
	if [ -f "$CONFIG" ]; then
		say "- $CONFIG is there and stays as it is"
		return 0
	fi
	step "make $CONFIG_FOLDER" install -d -m 0755 "$CONFIG_FOLDER"
	# It may come to hold credentials of a collector.
	step "install the default configuration as $CONFIG" \
		install -m 0640 -o root -g "$ACCOUNT" "$NEW_CONFIG" "$CONFIG"
}

is_active() { systemctl is-active --quiet "$SERVICE"; }
main_process() { systemctl show --property MainPID --value "$SERVICE"; }

# Whether the agent of this binary is healthy and stays so.
proven() {
	is_active && "$1" health --wait "$PATIENCE" >/dev/null || return 1
	before=$(main_process)
	sleep "$PROOF"
	is_active && [ "$(main_process)" = "$before" ] && "$1" health
}

# Its last words from the journal: between two tries to start it `systemctl status` shows none.
explain() {
	{
		systemctl status --no-pager --lines=0 "$SERVICE"
		journalctl --no-pager --output=cat --lines=20 --unit="$SERVICE"
	} 2>&1 | sed 's/^/    /' || true
}

# start start|restart BINARY: a version that failed has used up the starts that systemd allows.
start() {
	step "have systemd read its units" systemctl daemon-reload || return 1
	step "start it with the host" systemctl enable --quiet "$SERVICE" || return 1
	[ -n "$DRY_RUN" ] || systemctl reset-failed "$SERVICE" 2>/dev/null || true
	step "start it" systemctl "$1" "$SERVICE" || return 1
	step "wait until it is healthy, $PATIENCE s at most" proven "$2"
}

greet() {
	[ -z "$DRY_RUN" ] || return 0
	say ""
	say "What it sees (\`$1 check\`):"
	"$1" check || true
	say ""
	say "Inferscope is installed and healthy."
	"$1" health | sed 's/^healthy; metrics on /  metrics        /'
	say "  configuration  $CONFIG   (then: systemctl restart inferscope)"
	say "  its log        journalctl -u inferscope"
}

without_systemd() {
	say "systemd does not run here, so nothing starts it. To run it:"
	say "    $1 run"
	say "As root; it gives up at once what it does not need. \`$1 check\` says what it can see, \`$1 health\` whether it works."
}

# --- from files -----------------------------------------------------------------------------------------------------

# Documents come with packages only.
unit_for_files() {
	sed -e "s|^ExecStart=/usr/bin/|ExecStart=${BINARY%/*}/|" -e '/^Documentation=file:/d' "$NEW_UNIT" >"$SCRATCH/$SERVICE"
}

same_as_installed() {
	[ -f "$BINARY" ] && cmp -s "$NEW_BINARY" "$BINARY" && cmp -s "$SCRATCH/$SERVICE" "$UNIT"
}

keep_files() {
	install -d -m 0755 "$KEPT/previous"
	cp -p "$BINARY" "$KEPT/previous/inferscope"
	cp -p "$UNIT" "$KEPT/previous/$SERVICE"
}

restore_files() {
	place 0755 "$KEPT/previous/inferscope" "$BINARY" && place 0644 "$KEPT/previous/$SERVICE" "$UNIT" || return 1
	rm -rf "$KEPT/previous"
}

install_files() {
	[ "$(packaged_by)" = "" ] ||
		fail "it is installed as a package: upgrade with --from PACKAGE, or --uninstall it first"
	[ "$MODE" != upgrade ] || [ -f "$BINARY" ] || fail "there is nothing to upgrade: it is not installed"
	try_binary "$NEW_BINARY"
	unit_for_files
	if same_as_installed && { ! has_systemd || is_active; }; then
		say "This very version is installed. Nothing to do."
		return 0
	fi
	was_healthy=
	if [ -f "$BINARY" ] && has_systemd && is_active && "$BINARY" health >/dev/null 2>&1; then was_healthy=1; fi
	add_account
	add_config
	if [ -f "$BINARY" ] && [ -f "$UNIT" ]; then
		step "keep the version before in $KEPT/previous" keep_files
		# From here on whatever ends this script puts it back.
		if [ -n "$was_healthy" ] && [ -z "$DRY_RUN" ]; then UNDO=roll_back_files; fi
	fi
	step "install $BINARY" place 0755 "$NEW_BINARY" "$BINARY"
	step "install $UNIT" place 0644 "$SCRATCH/$SERVICE" "$UNIT"
	if ! has_systemd; then
		step "forget the version before" rm -rf "$KEPT/previous"
		without_systemd "$BINARY"
		return 0
	fi
	if ! start restart "$BINARY"; then
		explain
		not_healthy
	fi
	UNDO=
	step "forget the version before" rm -rf "$KEPT/previous"
	greet "$BINARY"
}

# Ends the script; where there is a healthy version to go back to, `clean_up` goes back to it.
not_healthy() {
	[ -z "$UNDO" ] || fail "the new version does not come up healthy"
	fail "it is installed and does not come up healthy. \`inferscope check\` says what this host lacks"
}

roll_back_files() {
	step "put the version before back" restore_files || return 1
	start restart "$BINARY"
}

# --- from a package -------------------------------------------------------------------------------------------------

# dpkg would ask whether to overwrite the configuration; the answer is no.
put_package() {
	case $1 in
	*.deb) DEBIAN_FRONTEND=noninteractive dpkg --force-confold --force-confdef --install "$1" ;;
	*.rpm) rpm --upgrade --replacepkgs --oldpackage "$1" ;;
	esac
}

kept_package() { find "$KEPT" -maxdepth 1 -name "*.${PACKAGE##*.}" 2>/dev/null | head -n 1; }

keep_package() {
	install -d -m 0755 "$KEPT"
	cp "$1" "$KEPT/.new.${1##*.}"
	rm -f "$KEPT"/*.deb "$KEPT"/*.rpm
	mv "$KEPT/.new.${1##*.}" "$KEPT/$(basename "$1")"
}

install_package() {
	[ ! -f "$UNIT" ] || fail "it is installed from files: --uninstall it first (the configuration stays)"
	[ "$MODE" != upgrade ] || [ -n "$(packaged_by)" ] || fail "there is nothing to upgrade: no package is installed"
	agent=/usr/bin/inferscope
	if [ -n "$(packaged_by)" ] && has_systemd && is_active && "$agent" health >/dev/null 2>&1; then
		previous=$(kept_package)
		if [ -z "$previous" ]; then
			say "The package of the version before is not in $KEPT: a failed upgrade cannot be undone."
		elif [ -z "$DRY_RUN" ]; then
			UNDO=roll_back_package
		fi
	fi
	step "install $PACKAGE" put_package "$PACKAGE"
	if ! has_systemd; then
		without_systemd "$agent"
		return 0
	fi
	if ! start start "$agent"; then
		explain
		not_healthy
	fi
	UNDO=
	step "keep the package in $KEPT, to go back to" keep_package "$PACKAGE"
	greet "$agent"
}

roll_back_package() {
	step "put the version before back" put_package "$previous" || return 1
	start restart /usr/bin/inferscope
}

# --- away with it ---------------------------------------------------------------------------------------------------

# rpm takes the configuration away, or leaves it under another name: it stays, as everywhere.
remove_rpm() {
	cp -p "$CONFIG" "$SCRATCH/inferscope.yaml"
	rpm --erase inferscope
	install -d -m 0755 "$CONFIG_FOLDER"
	mv -f "$SCRATCH/inferscope.yaml" "$CONFIG"
	rm -f "$CONFIG.rpmsave"
}

uninstall() {
	if has_systemd && systemctl cat "$SERVICE" >/dev/null 2>&1; then
		step "stop it" systemctl disable --quiet --now "$SERVICE"
	fi
	case $(packaged_by) in
	dpkg) step "remove the package" dpkg --remove inferscope ;;
	rpm) step "remove the package" remove_rpm ;;
	"") step "remove $BINARY and $UNIT" rm -f "$BINARY" "$UNIT" ;;
	esac
	step "remove $KEPT" rm -rf "$KEPT"
	if [ -n "$PURGE" ]; then purge; fi
	if has_systemd; then step "have systemd read its units" systemctl daemon-reload; fi
	[ -n "$PURGE" ] || say "The configuration is still in $CONFIG_FOLDER; --purge removes it."
}

purge() {
	if command -v dpkg-query >/dev/null && dpkg-query -W inferscope >/dev/null 2>&1; then
		step "remove what dpkg still knows of it" dpkg --purge inferscope
	fi
	step "remove configuration, drop-ins and request logs" rm -rf "$CONFIG_FOLDER" "$UNIT.d" "$LOGS"
	if getent passwd "$ACCOUNT" >/dev/null; then step "remove the user $ACCOUNT" userdel "$ACCOUNT"; fi
	if getent group "$ACCOUNT" >/dev/null; then step "remove the group $ACCOUNT" groupdel "$ACCOUNT"; fi
}

# --------------------------------------------------------------------------------------------------------------------

# Whatever ends the script: the version before is put back where one was healthy, and nothing is left lying about.
UNDO=
clean_up() {
	status=$?
	trap - EXIT
	if [ -n "$UNDO" ]; then
		if "$UNDO"; then
			say "The version before runs again."
		else
			say "The version before does not come up healthy either: see \`systemctl status inferscope\`."
		fi
	fi
	[ -z "$SCRATCH" ] || rm -rf "$SCRATCH"
	exit "$status"
}

main() {
	parse "$@"
	[ -n "$DRY_RUN" ] || [ "$(id -u)" = 0 ] || fail "this needs root (--dry-run does not)"
	SCRATCH=$(mktemp -d)
	trap clean_up EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	if [ "$MODE" = uninstall ]; then
		uninstall
		return 0
	fi
	find_source
	if [ -n "$PACKAGE" ]; then install_package; else install_files; fi
}

main "$@"
