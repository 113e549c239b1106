# shellcheck shell=bash
# What the private servers share; sourced by their scripts.

die()
{
	echo "${0##*/}: $*" >&2
	exit 1
}

# user_reaches PATH: may the server's own user walk there? It lost root's rights by then.
user_reaches()
{
	setpriv --reuid nobody --regid nogroup --clear-groups test -x "$1"
}

# certificate DIR: a key and certificate for localhost in DIR, and the authority that signed it in DIR/ca.pem.
certificate()
{
	[ ! -s "$1/cert.pem" ] || return 0
	mkdir -p "$1"
	(
		cd "$1"
		key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
		openssl req -x509 "${key[@]}" -days 30 -subj '/CN=private test authority' -addext keyUsage=critical,keyCertSign,cRLSign \
			-keyout ca.key -out ca.pem
		openssl req "${key[@]}" -subj /CN=localhost -keyout key.pem -out request.pem
		printf '%s\n' subjectAltName=DNS:localhost,IP:127.0.0.1 authorityKeyIdentifier=keyid >extensions
		openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile extensions \
			-out cert.pem
	) >"$1/log" 2>&1 || die "no certificate could be made: see $1/log"
}

# answers PORT: does an IMAP server greet there?
answers()
{
	local greeting
	greeting=$( (exec 3<>"/dev/tcp/127.0.0.1/$1" && IFS= read -r -t 5 line <&3 && echo "$line") 2>/dev/null) || return 1
	case $greeting in '* OK'*) ;; *) return 1 ;; esac
}

# wait_for_server PORT PIDFILE LOG: until it greets, for at most 20 s.
wait_for_server()
{
	local i
	for i in $(seq 200); do
		if answers "$1"; then
			return 0
		fi
		[ "$i" -lt 20 ] || [ -s "$2" ] || break
		sleep 0.1
	done
	tail -n 20 "$3" >&2 || true
	die "the server does not answer on port $1"
}

# end_process PIDFILE WORD: ends the process named there if its command line still holds WORD, and waits for it.
end_process()
{
	local pid i
	[ -s "$1" ] || return 0
	pid=$(cat "$1")
	tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -- "$2" || return 0
	kill "$pid" 2>/dev/null || return 0
	for i in $(seq 100); do
		# an ended process stays a zombie until its parent asks
		grep -q '^State:.[^ZX]' "/proc/$pid/status" 2>/dev/null || return 0
		[ "$i" -lt 100 ] || kill -9 "$pid" 2>/dev/null || true
		sleep 0.05
	done
}
