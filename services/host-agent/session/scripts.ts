// What runs in a vserver for a session, by its own /bin/sh: constant programs, to which values come as arguments alone. For one that
// is stopped the same programs run by this host's sh where inside.pl lets it see the guest's directory and nothing else. What their
// exit codes mean stands in shared/frames.ts.

/** $1: the number of the user. A login shell, as /etc/passwd has it, in the home directory. */
export const loginShell = `
if [ -r /etc/passwd ]; then
  while IFS=: read -r n _ u _ _ h s; do
    if [ "$u" = "$1" ]; then HOME=$h SHELL=$s USER=$n LOGNAME=$n; break; fi
  done </etc/passwd
fi
case \${SHELL:-} in */nologin | */false) SHELL= ;; esac
[ -x "\${SHELL:-}" ] || SHELL=/bin/sh
export HOME SHELL USER LOGNAME
[ -d "$HOME" ] && cd "$HOME" || cd /
exec "$SHELL" -l
`;

/** $1: a path, $2: "tree" or "file". A tar stream of the directory ("./...") or of the one file. */
export const pull = `
if [ -d "$1" ]; then
  [ "$2" = tree ] || exit 121
  cd "$1" || exit 120
  exec tar -cf - .
fi
[ -e "$1" ] || exit 120
[ -f "$1" ] || exit 123
d=\${1%/*}
cd "\${d:-/}" || exit 120
exec tar -chf - "./\${1##*/}"
`;

/**
 * $1: where to, $2: how it is called in a directory, $3: "tree" or "file", $4: "parents" or "", $5: "into": $1 is a directory.
 * Unpacks a tar stream ("./...", or the one file "data") beside its place, then puts it there; a directory that is there
 * already takes it in as it comes. A signal only sets a mark: an "exit" of a trap that comes in while the shell exits already
 * would break off the clearing away.
 */
export const push = `
umask 022
ended=
t=$1
if [ "$5" = into ] && [ ! -d "$t" ]; then
  [ -n "$4" ] || exit 122
  mkdir -p "$t" || exit 124
fi
[ -d "$t" ] && t=\${t%/}/$2
d=\${t%/*}
d=\${d:-/}
if [ ! -d "$d" ]; then
  [ -n "$4" ] || exit 122
  mkdir -p "$d" || exit 124
fi
if [ -d "$t" ]; then
  [ "$3" = tree ] || exit 125
  exec tar -xpf - -C "$t"
fi
[ "$3" = file ] || [ ! -e "$t" ] || exit 126
trap 'ended=1' HUP INT TERM
w=$(mktemp -d "$d/.vs-push.XXXXXX") || exit 124
trap 'rm -rf "$w"' EXIT
mkdir "$w/data.d" || exit 124
if [ "$3" = tree ]; then
  tar -xpf - -C "$w/data.d" || exit 124
  [ -z "$ended" ] || exit 143
  mv "$w/data.d" "$t" || exit 124
else
  tar -xpf - -C "$w" || exit 124
  [ -z "$ended" ] || exit 143
  mv -f "$w/data" "$t" || exit 124
fi
`;
