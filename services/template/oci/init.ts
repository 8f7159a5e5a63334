import type { Image } from './image.ts';

type Runs = 'init' | 'program' | 'idle';
const baseOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);
const shells = new Set(['sh', 'ash', 'bash', 'dash', 'zsh', 'ksh', 'fish']);
const inits = new Set(['init', 'systemd', 'openrc-init', 'runit-init']);

/**
 * How a vserver of an image runs: the program of the image, under a small init (tini); the image's own init, when it has one
 * and names no program but that or a shell, which would end at once without a terminal; else idle, to be entered.
 */
export function howItRuns({ entrypoint, cmd }: Pick<Image, 'entrypoint' | 'cmd'>, hasInit: boolean): Runs {
  const [first = '', ...rest] = [...entrypoint, ...cmd];
  const isShell = shells.has(baseOf(first)) && rest.every((one) => /^-(?:[il]+|-login)$/.test(one));
  if (hasInit && (first === '' || isShell || inits.has(baseOf(first)))) return 'init';
  return first === '' || isShell ? 'idle' : 'program';
}

/**
 * Where the init, the shell for its script, the script and the signal to end it lie in a vserver: they travel with it, and the
 * image may have nothing of the kind. The host agent knows this place, too (services/host-agent/lxc-config.ts).
 */
export const place = '.vs-tools';

/** The signal that ends the program in order, as the host agent takes it. */
export const stopSignal = ({ stopSignal: said }: Pick<Image, 'stopSignal'>): string =>
  /^[A-Z0-9]{2,10}$/.test(said.toUpperCase()) ? `SIG${said.toUpperCase().replace(/^SIG/, '')}` : 'SIGTERM';

/** A word as a shell takes it literally. */
const quote = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

function environment(image: Image, isRoot: boolean): string[] {
  const env = new Map([
    ['PATH', PATH],
    ['HOME', isRoot ? '/root' : '/'],
  ]);
  for (const one of image.env) {
    const at = one.indexOf('=');
    if (at > 0 && !one.includes('\0')) env.set(one.slice(0, at), one.slice(at + 1));
  }
  return [...env].map(([key, value]) => `${key}=${value}`);
}

/**
 * What the init of a vserver from an image starts, inside of it: a script that becomes the image's program, with the image's
 * environment, directory and user; or one that waits.
 */
export function runScript(image: Image, runs: 'program' | 'idle'): string {
  const words = runs === 'program' ? [...image.entrypoint, ...image.cmd] : [];
  const isRoot = image.user === '' || /^(?:root|0)(?::(?:root|0))?$/.test(image.user);
  const env = environment(image, isRoot);
  const path = env.findLast((one) => one.startsWith('PATH='))?.slice('PATH='.length) ?? PATH;
  const directory = image.workdir || '/';
  return `# Made by vs-tools from the configuration of an OCI image; tini starts it.
bb=/${place}/busybox
PATH=${quote(path)}
user=${quote(isRoot ? '' : image.user)}
[ ! -e /dev/console ] || exec </dev/null >/dev/console 2>&1
"$bb" hostname -F /etc/hostname 2>/dev/null
[ -d /dev/shm ] || { "$bb" mkdir -p /dev/shm && "$bb" mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /dev/shm; } 2>/dev/null
"$bb" mkdir -p ${quote(directory)}
case \${user%%:*} in
'' | *[!0-9]*) ;;
*) # a number that the image gives no name, and start-stop-daemon wants one
  "$bb" grep -q "^[^:]*:[^:]*:\${user%%:*}:" /etc/passwd 2>/dev/null ||
    echo "u\${user%%:*}:x:\${user%%:*}:\${user#*:}::/:/bin/sh" >>/etc/passwd ;;
esac

find_program() { # by PATH, and never an applet of our busybox
  case $1 in */*) echo "$1"; return ;; esac
  local IFS=: at
  for at in $PATH; do
    if [ -f "$at/$1" ] && [ -x "$at/$1" ]; then echo "$at/$1"; return; fi
  done
  return 1
}
program() {
  path=$(find_program "$1") || { echo "vs-tools: the image has no program $1"; exit 127; }
  shift
  cd ${quote(directory)} || exit 126
  if [ -n "$user" ]; then
    set -- "$bb" start-stop-daemon -S -c "$user" -x "$path" -- "$@"
  else
    set -- "$path" "$@"
  fi
  exec "$bb" env -i ${env.map(quote).join(' ')} "$@"
}
${words.length > 0 ? `program ${words.map(quote).join(' ')}` : 'while :; do "$bb" sleep 86400; done'}
`;
}
