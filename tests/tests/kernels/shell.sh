#!/bin/sh
# Root's shell for a test, on the machine's second serial line. Each line that comes is run; the answer is a line with its
# exit code and how many bytes of standard output and error follow.
exec <>/dev/ttyS1 >&0
stty raw -echo
cd /
printf 'ready\n'
while IFS= read -r line; do
	bash -c "$line" >/run/stdout 2>/run/stderr </dev/null
	printf '%d %d %d\n' $? "$(stat -c %s /run/stdout)" "$(stat -c %s /run/stderr)"
	cat /run/stdout /run/stderr
done
