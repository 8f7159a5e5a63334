#!/usr/bin/env bash
# OpenSMTPD of Debian in namespaces of its own: it hears on their 127.0.0.1:25.
# Nothing is installed and no file of this machine is changed: what it needs lies above, in mounts that end with it.
# usage: opensmtpd.sh DIR     (DIR has root/, the unpacked package; passwd.more, group.more; users, a line "ADDRESS: USER" each)
# Mails come to DIR/box/ADDRESS/new.
set -euo pipefail
if [ "${2:-}" != inside ]; then
  exec unshare --mount --net --pid --fork --kill-child --mount-proc -- bash "$0" "$1" inside
fi
dir=$1
mount --make-rprivate /
ip link set lo up
for one in /var/spool /var/lib /usr/libexec /run; do mount -t tmpfs -o mode=755 own "$one"; done
mkdir -p /var/lib/opensmtpd/empty /usr/libexec/opensmtpd /var/spool/smtpd
mount --bind "$dir/root/usr/libexec/opensmtpd" /usr/libexec/opensmtpd
for file in passwd group; do
  { cat "/etc/$file"; cat "$dir/$file.more"; } >"$dir/$file"
  mount --bind "$dir/$file" "/etc/$file"
done
chmod 711 /var/spool/smtpd
cp "$dir/root/usr/sbin/smtpd" "$dir/root/usr/sbin/smtpctl" /run/
export PATH=/run:$PATH
cat >"$dir/smtpd.conf" <<END
table users file:$dir/users
listen on 127.0.0.1 port 25 hostname mail.example.org
action in maildir "$dir/box/%{dest}" virtual <users>
match from any for domain "example.org" action in
END
exec /run/smtpd -d -f "$dir/smtpd.conf"
